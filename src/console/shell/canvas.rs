//! Frames into bytes: what differs from the last frame, in one write, and
//! nothing at all where nothing differs.

use std::convert::Infallible;
use std::io::{self, Write};

use ratatui::Terminal;
use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Rect, Size};
use ratatui::{Frame, TerminalOptions, Viewport};

/// Begins a synchronized update: the terminal shows nothing until its end.
/// A terminal that does not know it ignores it.
const BEGIN: &[u8] = b"\x1b[?2026h";
/// Ends a synchronized update.
const END: &[u8] = b"\x1b[?2026l";

/// Where frames are drawn: a terminal of known size behind a writer.
pub(super) struct Surface<W> {
    terminal: Terminal<Canvas>,
    out: W,
}

impl<W> std::fmt::Debug for Surface<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surface").finish_non_exhaustive()
    }
}

impl<W: Write> Surface<W> {
    /// An empty screen of `size` (columns, rows) behind `out`.
    pub(super) fn new(out: W, (width, height): (u16, u16)) -> Self {
        let size = Size { width, height };
        let canvas = Canvas { size, bytes: Vec::with_capacity(64 * 1024), shown: None, at: None };
        let options = TerminalOptions { viewport: Viewport::Fixed(Rect::new(0, 0, width, height)) };
        let terminal = match Terminal::with_options(canvas, options) {
            Ok(terminal) => terminal,
            Err(never) => match never {},
        };
        Self { terminal, out }
    }

    /// Draws a frame and writes what differs from the last; whether anything did.
    ///
    /// # Errors
    /// What the writer says.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<bool> {
        match self.terminal.draw(draw) {
            Ok(_) => {}
            Err(never) => match never {},
        }
        let canvas = self.terminal.backend_mut();
        if canvas.bytes.is_empty() {
            return Ok(false);
        }
        canvas.bytes.splice(0..0, BEGIN.iter().copied());
        canvas.bytes.extend_from_slice(END);
        let written = self.out.write_all(&canvas.bytes).and_then(|()| self.out.flush());
        canvas.bytes.clear();
        written.map(|()| true)
    }

    /// The terminal has another size: the next frame is drawn whole.
    pub(super) fn resize(&mut self, (width, height): (u16, u16)) {
        self.terminal.backend_mut().size = Size { width, height };
        match self.terminal.resize(Rect::new(0, 0, width, height)) {
            Ok(()) => {}
            Err(never) => match never {},
        }
        let canvas = self.terminal.backend_mut();
        (canvas.shown, canvas.at) = (None, None);
    }

    /// The next frame is drawn whole, whatever the terminal shows now.
    pub(super) fn redraw(&mut self) {
        let Size { width, height } = self.terminal.backend().size;
        self.resize((width, height));
    }

    /// Writes what is no drawing: the bell, the clipboard.
    ///
    /// # Errors
    /// What the writer says.
    pub(super) fn control(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes).and_then(|()| self.out.flush())
    }
}

/// A backend that collects a frame's bytes, and leaves out what the terminal
/// already knows of its cursor.
struct Canvas {
    size: Size,
    bytes: Vec<u8>,
    /// Whether the cursor is shown, once known.
    shown: Option<bool>,
    /// Where the cursor was put, unless something was drawn since.
    at: Option<Position>,
}

impl Canvas {
    /// Writing into memory does not fail.
    fn encode(&mut self, write: impl FnOnce(&mut CrosstermBackend<&mut Vec<u8>>) -> io::Result<()>) {
        write(&mut CrosstermBackend::new(&mut self.bytes)).unwrap_or_default();
    }

    fn show(&mut self, shown: bool) {
        if self.shown != Some(shown) {
            self.shown = Some(shown);
            self.encode(|backend| if shown { backend.show_cursor() } else { backend.hide_cursor() });
        }
    }
}

impl Backend for Canvas {
    type Error = Infallible;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), Infallible>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut content = content.peekable();
        if content.peek().is_some() {
            self.at = None;
            self.encode(|backend| backend.draw(content));
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> Result<(), Infallible> {
        self.show(false);
        Ok(())
    }

    fn show_cursor(&mut self) -> Result<(), Infallible> {
        self.show(true);
        Ok(())
    }

    fn get_cursor_position(&mut self) -> Result<Position, Infallible> {
        Ok(self.at.unwrap_or_default())
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), Infallible> {
        let position = position.into();
        if self.at != Some(position) {
            self.at = Some(position);
            self.encode(|backend| backend.set_cursor_position(position));
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Infallible> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, region: ClearType) -> Result<(), Infallible> {
        self.encode(|backend| backend.clear_region(region));
        Ok(())
    }

    fn size(&self) -> Result<Size, Infallible> {
        Ok(self.size)
    }

    fn window_size(&mut self) -> Result<WindowSize, Infallible> {
        Ok(WindowSize { columns_rows: self.size, pixels: Size::ZERO })
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts writes.
    #[derive(Default)]
    struct Writes(Vec<Vec<u8>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn text(frame: &mut Frame<'_>, text: &str) {
        let area = frame.area();
        frame.buffer_mut().set_string(area.x, area.y, text, ratatui::style::Style::new());
    }

    #[test]
    fn a_frame_is_one_write_and_the_same_again_is_none() {
        let mut surface = Surface::new(Writes::default(), (20, 3));
        assert!(surface.draw(|frame| text(frame, "hello")).unwrap());
        assert_eq!(surface.out.0.len(), 1);
        let bytes = &surface.out.0[0];
        assert!(bytes.starts_with(BEGIN) && bytes.ends_with(END));
        assert!(!surface.draw(|frame| text(frame, "hello")).unwrap());
        assert_eq!(surface.out.0.len(), 1, "nothing differs: no byte");
        assert!(surface.draw(|frame| text(frame, "hellO")).unwrap());
        assert_eq!(surface.out.0.len(), 2);
        assert!(surface.out.0[1].len() < 64, "{:?}", String::from_utf8_lossy(&surface.out.0[1]));
    }

    #[test]
    fn a_resize_draws_everything_anew() {
        let mut surface = Surface::new(Vec::new(), (20, 3));
        surface.draw(|frame| text(frame, "hello")).unwrap();
        surface.resize((10, 2));
        surface.draw(|frame| text(frame, "hello")).unwrap();
        let mut parser = vt100::Parser::new(2.try_into().unwrap(), 10.try_into().unwrap(), 0);
        parser.process(&surface.out);
        assert_eq!(parser.screen().contents().trim_end(), "hello");
        assert!(parser.screen().hide_cursor());
        let before = surface.out.len();
        surface.redraw();
        assert!(surface.draw(|frame| text(frame, "hello")).unwrap());
        assert!(surface.out.len() > before);
    }
}
