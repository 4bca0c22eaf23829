//! One connection that stays open, with as little of a client as there can be.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::server::Server;

#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    token: String,
}

impl Client {
    pub fn new(server: &Server) -> Result<Self, Box<dyn Error>> {
        let stream = TcpStream::connect(server.address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), token: server.token.clone() })
    }

    /// The body of a good answer.
    fn call(&mut self, method: &str, path: &str, token: bool) -> Result<Vec<u8>, Box<dyn Error>> {
        let authorisation =
            if token { format!("Authorization: Bearer {}\r\n", self.token) } else { String::new() };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{authorisation}Content-Length: 0\r\n\r\n"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status = self.line()?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse()?,
                Some(("transfer-encoding", _)) => chunked = true,
                Some(_) => {}
                None => break,
            }
        }
        let body = if chunked { self.chunks()? } else { self.bytes(length)? };
        if status.contains(" 200 ") || status.contains(" 202 ") {
            return Ok(body);
        }
        Err(format!("{method} {path}: {status}: {}", String::from_utf8_lossy(&body)).into())
    }

    fn line(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err("the connection was closed".into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn chunks(&mut self) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line()?, 16)?;
            body.extend(self.bytes(size)?);
            self.line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    pub fn get(&mut self, path: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        self.call("GET", path, true)
    }

    pub fn json(&mut self, path: &str) -> Result<Value, Box<dyn Error>> {
        Ok(serde_json::from_slice(&self.get(path)?)?)
    }

    pub fn post(&mut self, path: &str) -> Result<Value, Box<dyn Error>> {
        Ok(serde_json::from_slice(&self.call("POST", path, true)?)?)
    }

    /// Without a token, as whoever pings has none.
    pub fn ping(&mut self, path: &str) -> Result<(), Box<dyn Error>> {
        self.call("POST", path, false).map(drop)
    }

    /// Whether it answers at all.
    pub fn answers(&mut self) -> bool {
        self.call("GET", "/health", false).is_ok()
    }
}
