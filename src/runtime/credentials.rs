//! Credentials of an endpoint: read from their sources whenever they are asked for.

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::sync::{mpsc, oneshot};

use crate::backend::CredentialSource;
use crate::model::{EndpointName, EndpointSpec, SecretRef};
use crate::vault::{self, Vault};

/// What a person may be asked for where nothing is configured: it is new each time.
const ASKED: &str = "second_factor";

/// A credential that only a person can give, wanted now.
#[derive(Debug)]
pub struct Question {
    /// For which endpoint.
    pub endpoint: EndpointName,
    /// Its name under `[endpoint.auth]`.
    pub name: &'static str,
    /// Where the answer goes; dropped, it is not given. Whoever asked may have
    /// gone meanwhile, and asks again.
    pub answer: oneshot::Sender<SecretString>,
}

/// The names under `[endpoint.auth]` of one endpoint.
#[derive(Debug)]
pub struct Credentials {
    endpoint: EndpointName,
    configured: std::collections::BTreeMap<String, SecretRef>,
    vault: Vault,
    person: Option<mpsc::Sender<Question>>,
}

impl Credentials {
    /// Those of `spec`; `person` answers questions, where there is one.
    #[must_use]
    pub fn of(spec: &EndpointSpec, vault: Vault, person: Option<mpsc::Sender<Question>>) -> Self {
        Self { endpoint: spec.name.clone(), configured: spec.auth.clone(), vault, person }
    }
}

#[async_trait]
impl CredentialSource for Credentials {
    async fn credential(&self, name: &str) -> Result<Option<SecretString>, String> {
        if let Some(reference) = self.configured.get(name) {
            let resolved = vault::resolve(reference, &self.vault).await;
            return resolved.map(Some).map_err(|error| format!("{name}: {error}"));
        }
        let Some(person) = self.person.as_ref().filter(|_| name == ASKED) else { return Ok(None) };
        let (answer, given) = oneshot::channel();
        let question = Question { endpoint: self.endpoint.clone(), name: ASKED, answer };
        if person.send(question).await.is_err() {
            return Ok(None);
        }
        Ok(given.await.ok())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::model::Kind;

    #[tokio::test]
    async fn a_second_factor_is_asked_of_a_person_only_where_none_is_configured() {
        let mut spec = EndpointSpec::new("queue".into(), Kind::Rediacc, None);
        let (person, mut questions) = mpsc::channel::<Question>(1);
        let vault = Vault::new("/nowhere".into(), vault::KeySource::File("/nowhere.key".into()));
        let credentials = Credentials::of(&spec, vault.clone(), Some(person.clone()));
        let answering = async {
            let question = questions.recv().await.unwrap();
            assert_eq!((question.endpoint.as_raw(), question.name), ("queue", "second_factor"));
            question.answer.send(SecretString::from("123456")).unwrap();
            // The next one is not answered.
            drop(questions.recv().await.unwrap());
            questions
        };
        let asking = async {
            let code = credentials.credential("second_factor").await.unwrap().unwrap();
            assert_eq!(code.expose_secret(), "123456");
            assert!(credentials.credential("second_factor").await.unwrap().is_none());
            assert!(credentials.credential("password").await.unwrap().is_none(), "never asked for");
        };
        let (questions, ()) = tokio::join!(answering, asking);
        spec.auth.insert("second_factor".to_owned(), SecretRef::Plain("654321".to_owned()));
        let configured = Credentials::of(&spec, vault, Some(person));
        let code = configured.credential("second_factor").await.unwrap().unwrap();
        assert_eq!(code.expose_secret(), "654321");
        drop(questions);
        assert!(credentials.credential("second_factor").await.unwrap().is_none(), "nobody is there");
    }
}
