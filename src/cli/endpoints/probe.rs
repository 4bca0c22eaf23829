//! Polls one endpoint until it has answered or failed, asking at the terminal
//! for what only a person can give.

use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::mpsc;

use crate::config::Paths;
use crate::model::{EndpointName, EndpointSpec};
use crate::runtime::Question;

use super::super::session::{Session, Step};
use super::super::{Failure, tty};

/// How much longer than one read the endpoint may take.
const MARGIN: Duration = Duration::from_secs(2);
/// How long what comes at once may take to come.
const AT_ONCE: Duration = Duration::from_millis(1);

/// A session that has heard of the endpoint, or waited long enough for it.
///
/// # Errors
/// It can't be set up, or whoever was asked gave up.
pub async fn probe(paths: &Paths, spec: EndpointSpec) -> Result<Session, Failure> {
    let (name, limit) = (spec.name.clone(), spec.timeout + MARGIN);
    if !tty::is_attended() {
        let mut session = Session::open(paths, vec![spec], true)?;
        session.settle(limit).await;
        return Ok(session);
    }
    let (person, mut questions) = mpsc::channel(1);
    let mut session = Session::open_asking(paths, vec![spec], person)?;
    let mut kept: Option<SecretString> = None;
    loop {
        let question = tokio::select! {
            () = session.settle(limit) => return Ok(session),
            question = questions.recv() => question,
        };
        let Some(question) = question else { return Ok(session) };
        match answer(&question, &mut kept).await {
            Ok(answer) => {
                hand_over(question, answer, &mut kept);
                start_anew(&mut session, &name).await;
            }
            Err(failure) => {
                session.close().await;
                return Err(failure);
            }
        }
    }
}

/// What the person says; or said, when whoever asked had gone before it was typed.
async fn answer(question: &Question, kept: &mut Option<SecretString>) -> Result<SecretString, Failure> {
    if let Some(answer) = kept.take() {
        return Ok(answer);
    }
    let what = question.name.replace('_', " ");
    tty::secret(&format!("{} asks for the {what} (it is not shown): ", question.endpoint)).await
}

fn hand_over(question: Question, answer: SecretString, kept: &mut Option<SecretString>) {
    if let Err(answer) = question.answer.send(answer) {
        *kept = Some(answer);
    }
}

/// What failed only because nobody had answered yet is not what was found.
async fn start_anew(session: &mut Session, name: &EndpointName) {
    while let Ok(step) = tokio::time::timeout(AT_ONCE, session.step()).await {
        if matches!(step, Step::Ended) {
            return;
        }
    }
    session.wait_anew();
    session.handle().refresh(Some(name.clone()));
}
