//! The page of a picture.

use crate::view::picture::model::Model;
use crate::view::picture::rows::{Picture, escaped};

impl Picture<'_> {
    /// The page, as the text of a file.
    pub fn html(&self) -> String {
        let run = Model::of(self).json(self).to_string();
        // Within a script element nothing may look like an end of it.
        let run = run.replace('<', "\\u003c");
        fill(
            include_str!("picture.html"),
            &[
                ("title", &escaped(self.title)),
                ("style", include_str!("picture.css")),
                ("run", &run),
                (
                    "script",
                    concat!(
                        include_str!("run.js"),
                        include_str!("draw.js"),
                        include_str!("page.js")
                    ),
                ),
            ],
        )
    }
}

/// The template with `{{name}}` replaced; what is put in is not looked at again.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").expect("our own template closes what it opens");
        let value = values.iter().find(|(known, _)| *known == name);
        text.push_str(before);
        text.push_str(value.expect("our own template names what there is").1);
        rest = after;
    }
    text + rest
}
