//! What the terminal sends → what happened.

use crossterm::event::{Event as Sent, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::action::{Code, Key};
use crate::console::msg::Event;

/// The event that something sent by the terminal is; `None`: nothing to us.
pub(super) fn event(sent: Sent) -> Option<Event> {
    match sent {
        Sent::Key(key) => self::key(key).map(Event::Key),
        Sent::Paste(text) => Some(Event::Paste(text)),
        Sent::Resize(width, height) => Some(Event::Resize { width, height }),
        Sent::Mouse(_) | Sent::FocusGained | Sent::FocusLost => None,
    }
}

/// The key as we name it. Releases are none.
fn key(key: KeyEvent) -> Option<Key> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    let shift = key.modifiers.contains(KeyModifiers::SHIFT);
    let code = match key.code {
        KeyCode::Char(c) if ctrl => Code::Char(c.to_ascii_lowercase()),
        // Some terminals send the shifted letter, some the letter and the shift.
        KeyCode::Char(c) if shift => Code::Char(c.to_ascii_uppercase()),
        KeyCode::Char(c) => Code::Char(c),
        KeyCode::Enter => Code::Enter,
        KeyCode::Esc => Code::Esc,
        KeyCode::Tab if shift => Code::BackTab,
        KeyCode::Tab => Code::Tab,
        KeyCode::BackTab => Code::BackTab,
        KeyCode::Backspace => Code::Backspace,
        KeyCode::Delete => Code::Delete,
        KeyCode::Up => Code::Up,
        KeyCode::Down => Code::Down,
        KeyCode::Left => Code::Left,
        KeyCode::Right => Code::Right,
        KeyCode::Home => Code::Home,
        KeyCode::End => Code::End,
        KeyCode::PageUp => Code::PageUp,
        KeyCode::PageDown => Code::PageDown,
        KeyCode::F(n @ 1..=12) => Code::F(n),
        _ => return None,
    };
    Some(Key { code, ctrl, alt })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_as_terminals_send_them() {
        let press = |code, modifiers| key(KeyEvent::new(code, modifiers)).map(|key| key.to_string());
        for (code, modifiers, name) in [
            (KeyCode::Char('j'), KeyModifiers::NONE, "j"),
            (KeyCode::Char('G'), KeyModifiers::SHIFT, "G"),
            (KeyCode::Char('g'), KeyModifiers::SHIFT, "G"),
            (KeyCode::Char('?'), KeyModifiers::NONE, "?"),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, "ctrl-c"),
            (KeyCode::Char('C'), KeyModifiers::CONTROL, "ctrl-c"),
            (KeyCode::Char('x'), KeyModifiers::ALT, "alt-x"),
            (KeyCode::BackTab, KeyModifiers::SHIFT, "backtab"),
            (KeyCode::Tab, KeyModifiers::SHIFT, "backtab"),
            (KeyCode::F(5), KeyModifiers::NONE, "f5"),
            (KeyCode::Char(' '), KeyModifiers::NONE, "space"),
        ] {
            assert_eq!(press(code, modifiers).as_deref(), Some(name));
        }
        let release = KeyEvent::new_with_kind(KeyCode::Enter, KeyModifiers::NONE, KeyEventKind::Release);
        assert_eq!(key(release), None);
        assert_eq!(press(KeyCode::CapsLock, KeyModifiers::NONE), None);
    }
}
