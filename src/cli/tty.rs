//! Asking a person at the terminal. Questions go to standard error, so that
//! they are seen wherever the answer of the command goes.

use std::io::{IsTerminal as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::{SecretString, zeroize::Zeroize as _};
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, Failure};

/// The longest secret that is typed or pasted, in bytes.
const MAX_SECRET: usize = 64 * 1024;

const BACKSPACE: [u8; 2] = [0x08, 0x7f];
const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const KILL_LINE: u8 = 0x15;

/// Whether somebody can be asked.
pub fn is_attended() -> bool {
    std::io::stdin().is_terminal()
}

/// Text for the person, not for what reads the command's answer.
pub fn say(text: &str) {
    let mut out = std::io::stderr().lock();
    // Nobody could be told that this can't be told.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// One line, trimmed; empty where only Enter was pressed.
///
/// # Errors
/// The input has ended.
pub fn line(question: &str) -> Result<String, Failure> {
    say(question);
    let mut answer = String::new();
    match std::io::stdin().read_line(&mut answer) {
        Ok(0) | Err(_) => {
            say("\n");
            Err(given_up())
        }
        Ok(_) => Ok(answer.trim().to_owned()),
    }
}

/// Whether `y` was typed.
///
/// # Errors
/// The input has ended.
pub fn yes(question: &str) -> Result<bool, Failure> {
    line(&format!("{question} Type y for yes: ")).map(|answer| answer == "y")
}

/// One line that is not shown while it is typed.
///
/// # Errors
/// Ctrl-C or the end of the input; or a signal ends vigie, with the terminal given back.
pub async fn secret(question: &str) -> Result<SecretString, Failure> {
    // Quiet first: who has seen the question may type at once.
    let quiet = Quiet::begin()?;
    say(question);
    let listen = |kind| signal(kind).map_err(|error| Failure::refused(error.to_string()));
    let (mut terminate, mut hangup, mut interrupt) =
        (listen(SignalKind::terminate())?, listen(SignalKind::hangup())?, listen(SignalKind::interrupt())?);
    let ended = |code: u8| Err(Failure { message: "nothing was done".to_owned(), exit: Exit(code) });
    let answer = tokio::select! {
        answer = hidden() => answer,
        _ = terminate.recv() => ended(143),
        _ = hangup.recv() => ended(129),
        _ = interrupt.recv() => ended(130),
    };
    drop(quiet);
    say("\n");
    answer
}

/// Reads up to Enter. The keys that edit a line do here too.
async fn hidden() -> Result<SecretString, Failure> {
    let mut stdin = tokio::io::stdin();
    let mut typed: Vec<u8> = Vec::new();
    let result = loop {
        match stdin.read_u8().await {
            Err(_) | Ok(INTERRUPT | END) => break Err(given_up()),
            Ok(b'\r' | b'\n') => break Ok(()),
            Ok(KILL_LINE) => typed.zeroize(),
            Ok(key) if BACKSPACE.contains(&key) => {
                // A character may be several bytes.
                while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            Ok(_) if typed.len() == MAX_SECRET => break Err(Failure::refused("that is over 64 KiB")),
            Ok(byte) => typed.push(byte),
        }
    };
    let secret = std::str::from_utf8(&typed).map(|text| SecretString::from(text.trim()));
    typed.zeroize();
    result.and_then(|()| secret.map_err(|_| Failure::refused("that is not UTF-8")))
}

fn given_up() -> Failure {
    Failure::refused("nothing was done")
}

/// The terminal without echo, for as long as this lives. Ctrl-C arrives as a
/// key, so that it can't end vigie in between.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> Result<Self, Failure> {
        let refused = |error| Failure::refused(format!("the terminal can't be made quiet: {error}"));
        let before = tcgetattr(std::io::stdin()).map_err(refused)?;
        let mut modes = before.clone();
        modes.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(std::io::stdin(), OptionalActions::Drain, &modes).map_err(refused)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // If that fails there is nobody left to tell.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.0);
    }
}
