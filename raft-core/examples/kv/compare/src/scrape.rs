//! What a node says under `/metrics`.

use std::collections::BTreeMap;

/// Numbers by name, labels included, in billionths.
#[derive(Clone, Default, Debug)]
pub(crate) struct Scrape(BTreeMap<String, u128>);

impl Scrape {
    /// What stands in a text of Prometheus.
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let numbers = lines.filter_map(|line| {
            let (name, number) = line.rsplit_once(' ')?;
            Some((name.to_string(), billionths(number)?))
        });
        Self(numbers.collect())
    }

    /// A number in billionths: seconds become nanoseconds. 0 where there is none.
    pub(crate) fn nanos(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |number| u64::try_from(*number).unwrap_or(u64::MAX))
    }

    /// A number that is a whole one.
    pub(crate) fn count(&self, name: &str) -> u64 {
        let number = self.0.get(name).map_or(0, |number| number / 1_000_000_000);
        u64::try_from(number).unwrap_or(u64::MAX)
    }
}

fn billionths(number: &str) -> Option<u128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let part: String = part.chars().chain(std::iter::repeat('0')).take(9).collect();
    let (whole, part): (u64, u64) = (whole.parse().ok()?, part.parse().ok()?);
    Some(u128::from(whole) * 1_000_000_000 + u128::from(part))
}

#[cfg(test)]
mod tests {
    use super::Scrape;

    #[test]
    fn numbers_are_found_by_name_and_label() {
        let text = "# HELP kv_x Something.\n# TYPE kv_x counter\nkv_x 12\nkv_s_sum 1.0000205\n\
                    kv_peer_bytes{peer=\"2\"} 83886080000\nkv_odd NaN\n";
        let scrape = Scrape::parse(text);
        assert_eq!((scrape.count("kv_x"), scrape.nanos("kv_s_sum")), (12, 1_000_020_500));
        assert_eq!(scrape.count("kv_peer_bytes{peer=\"2\"}"), 83_886_080_000);
        assert_eq!((scrape.count("kv_odd"), scrape.count("kv_none")), (0, 0));
    }
}
