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
        self.ask_with(method, url, &[], body)
    }

    /// The same, with these headers.
    ///
    /// # Panics
    ///
    /// The address is none.
    pub fn ask_with(
        &self,
        method: &Method,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut url = url.to_string();
        for _ in 0..3 {
            let request = Request::builder().method(method.clone()).uri(&url);
            let request =
                headers.iter().fold(request, |all, (name, value)| all.header(*name, *value));
            let mut response = match self.0.run(request.body(body).expect("well-formed")) {
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

#[cfg(test)]
mod tests {
    use super::{Answer, Client};
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;
    use ureq::http::Method;

    /// Writes to somebody who says these to one connection after the other: nothing where it only
    /// listens and hangs up.
    fn put(said: Vec<String>) -> Answer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/kv/k", listener.local_addr().expect("it has one"));
        let there = url.clone();
        let serves = thread::spawn(move || {
            for said in said {
                let (mut stream, _) = listener.accept().expect("somebody asks");
                _ = stream.read(&mut [0; 4096]).expect("a request");
                let said = said.replace("THERE", &there);
                stream.write_all(said.as_bytes()).expect("it listens");
            }
        });
        let answer = Client::new(Duration::from_secs(5)).ask(&Method::PUT, &url, b"1");
        serves.join().expect("all was said");
        answer
    }

    fn head(code: u16, more: &str) -> String {
        format!("HTTP/1.1 {code} x\r\ncontent-length: 0\r\nconnection: close\r\n{more}\r\n")
    }

    #[test]
    fn only_who_was_answered_so_or_found_nobody_knows_that_nothing_was_done() {
        assert!(!Answer::Said(200, Vec::new()).is_refused());
        assert!(!Answer::Said(504, Vec::new()).is_refused(), "nobody knows");
        for code in [404, 409, 429, 503] {
            assert!(Answer::Said(code, Vec::new()).is_refused(), "{code}");
        }
        assert_eq!(put(vec![head(503, "")]), Answer::Said(503, Vec::new()));
        let hung_up = put(vec![String::new()]);
        assert_eq!((&hung_up, hung_up.is_refused()), (&Answer::Unknown, false));
        let client = Client::new(Duration::from_secs(5));
        // Nobody listens at a port that was free a moment ago.
        let port = kv::cluster::free_ports(1).expect("a port")[0];
        let nobody = client.ask(&Method::PUT, &format!("http://127.0.0.1:{port}/kv/k"), b"1");
        assert_eq!((&nobody, nobody.is_refused()), (&Answer::Nobody, true));
    }

    #[test]
    fn who_is_pointed_elsewhere_asks_there_and_gives_up_in_a_circle() {
        let elsewhere = head(307, "location: THERE\r\n");
        assert_eq!(put(vec![elsewhere.clone(), head(200, "")]), Answer::Said(200, Vec::new()));
        let unknown = put(vec![elsewhere.clone(), String::new()]);
        assert_eq!(unknown, Answer::Unknown, "the second one may have done it");
        assert!(put(vec![elsewhere; 3]).is_refused());
    }
}
