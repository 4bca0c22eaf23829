//! Rows beside the domain's, such as tokens: kept in its database, written in
//! its order, and no business of its decisions.

use tokio::sync::oneshot;

use crate::coordinator::domain::{TokenRow, Write};

use super::message::Message;
use super::{Engine, Refusal, closed, unreadable};

impl Engine {
    /// Writes rows that are no business of the domain's, with everything else that waits.
    ///
    /// # Errors
    /// They are not on disk yet; whether they will be is not known.
    pub(in crate::coordinator) async fn record(&self, writes: Vec<Write>) -> Result<(), Refusal> {
        let (reply, done) = oneshot::channel();
        self.mailbox.send(Message::Record { writes, reply }).await.map_err(|_| closed())?;
        done.await.map_err(|_| closed())?
    }

    /// Every token that is kept.
    ///
    /// # Errors
    /// They can't be read.
    pub(in crate::coordinator) async fn token_rows(&self) -> Result<Vec<TokenRow>, Refusal> {
        self.reader.tokens().await.map_err(unreadable)
    }
}
