//! A client that says no more than it knows.

use std::io::ErrorKind;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Method, Request};

/// What a client knows of its request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// A code, and a body.
    Said(u16, Vec<u8>),
    /// Nobody was there: it has changed nothing.
    Nobody,
    /// It was on its way, and no answer came.
    Unknown,
}

impl Answer {
    /// The code, or 0 if there is none.
    pub fn code(&self) -> u16 {
        match self {
            Self::Said(code, _) => *code,
            Self::Nobody | Self::Unknown => 0,
        }
    }

    /// Whether it certainly was not done, and never will be.
    pub fn is_refused(&self) -> bool {
        match self {
            Self::Said(code, _) => !matches!(code, 200 | 504),
            Self::Nobody => true,
            Self::Unknown => false,
        }
    }
}

/// Asks over HTTP.
#[derive(Debug)]
pub struct Client(Agent);

impl Client {
    /// One that gives up after so long.
    pub fn new(patience: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(patience))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false);
        Self(config.build().into())
    }

    /// Asks, and asks again where it is told to: who points elsewhere has done nothing.
    ///
    /// # Panics
    ///
    /// The address is none.
    pub fn ask(&self, method: &Method, url: &str, body: &[u8]) -> Answer {
        let mut url = url.to_string();
        for _ in 0..3 {
            let request = Request::builder().method(method.clone()).uri(&url).body(body);
            let mut response = match self.0.run(request.expect("well-formed")) {
                Ok(response) => response,
                Err(ureq::Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                    return Answer::Nobody;
                }
                Err(_) => return Answer::Unknown,
            };
            let code = response.status().as_u16();
            if code != 307 {
                let body = response.body_mut().read_to_vec();
                return body.map_or(Answer::Unknown, |body| Answer::Said(code, body));
            }
            let location = response.headers().get("location").and_then(|there| there.to_str().ok());
            url = location.expect("it says where").to_string();
        }
        Answer::Said(503, Vec::new())
    }
}
