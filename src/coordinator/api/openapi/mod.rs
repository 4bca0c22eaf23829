//! The description of the API (`OpenAPI` 3.1), put together from the handlers
//! themselves: their own types say what a call takes and what it gives.
//!
//! [`Spoken`] reads a handler's arguments ([`parts`]) and answer ([`answers`]);
//! the list of routes adds the path, what a caller needs, and a sentence.

mod answers;
mod parts;

use std::sync::LazyLock;

use axum::handler::Handler;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::model::Role;
use crate::wire::Problem;

use super::Api;
use super::routes::{List, Need};

pub(super) use answers::{Accepted, Answer, Created, Located};
pub(super) use parts::Part;

/// Media type of JSON.
const JSON: &str = "application/json";
/// Media type of problem details (RFC 9457).
const PROBLEM: &str = "application/problem+json";

/// What a call takes and gives.
#[derive(Debug, Default)]
pub(super) struct Operation {
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Map<String, Value>,
}

impl Operation {
    fn query(&mut self, name: &str, schema: &Value, required: bool) {
        let parameter = json!({ "name": name, "in": "query", "required": required, "schema": schema });
        self.parameters.push(parameter);
    }

    fn takes(&mut self, schema: &Value, required: bool) {
        self.body = Some(json!({ "required": required, "content": { JSON: { "schema": schema } } }));
    }

    /// 200, with one of two types.
    pub(super) fn either<A: JsonSchema, B: JsonSchema>(
        &mut self,
        about: &str,
        schemas: &mut SchemaGenerator,
    ) {
        let either = json!({ "anyOf": [schema::<A>(schemas), schema::<B>(schemas)] });
        self.answers("200", about, Some((JSON, either)));
    }

    fn answers(&mut self, status: &str, description: &str, content: Option<(&str, Value)>) {
        let mut answer = json!({ "description": description });
        if let Some((media, schema)) = content {
            answer["content"] = json!({ media: { "schema": schema } });
        }
        self.answers.insert(status.to_owned(), answer);
    }
}

/// A handler that says what it takes and gives. `T` is the handler's kind, as for axum's own trait.
pub(super) trait Spoken<T> {
    /// Reads it off the types.
    fn speak(schemas: &mut SchemaGenerator) -> Operation;
}

macro_rules! spoken {
    ([$($part:ident),*]) => {
        impl<F, Fut, R, Via, $($part),*> Spoken<(Via, $($part,)*)> for F
        where
            F: Fn($($part),*) -> Fut,
            Fut: Future<Output = R>,
            R: Answer,
            $($part: Part,)*
        {
            fn speak(schemas: &mut SchemaGenerator) -> Operation {
                let mut operation = Operation::default();
                $($part::tell(&mut operation, schemas);)*
                R::tell(&mut operation, schemas);
                operation
            }
        }
    };
}

impl<F, Fut, R> Spoken<((),)> for F
where
    F: Fn() -> Fut,
    Fut: Future<Output = R>,
    R: Answer,
{
    fn speak(schemas: &mut SchemaGenerator) -> Operation {
        let mut operation = Operation::default();
        R::tell(&mut operation, schemas);
        operation
    }
}

spoken!([A]);
spoken!([A, B]);
spoken!([A, B, C]);
spoken!([A, B, C, D]);
spoken!([A, B, C, D, E]);

/// The description, as routes are added to it.
#[derive(Debug)]
pub(super) struct Description {
    schemas: SchemaGenerator,
    paths: Map<String, Value>,
    last: Option<(&'static str, String)>,
}

impl Description {
    /// Of nothing yet.
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self { schemas: settings.into_generator(), paths: Map::new(), last: None }
    }

    /// The whole document.
    pub(super) fn document(mut self) -> Value {
        let problem = self.schemas.subschema_for::<Problem>();
        debug_assert!(problem.as_object().is_some());
        let roles: Vec<&str> = Role::ALL.iter().map(|role| role.word()).collect();
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "vigie's coordinator",
                "version": env!("CARGO_PKG_VERSION"),
                "summary": "A scheduler, a queue and a monitor on one machine.",
                "description": format!(
                    "Errors are problem details (RFC 9457): `type` is a stable word for programs, `detail` says \
                     what went wrong, where, and what to do. `x-role` is the least role that a call needs, of \
                     {}; a token of some teams sees and does what is theirs, and hears 404 of the rest.",
                    roles.join(", ")
                ),
            },
            "security": [{ "token": [] }],
            "paths": self.paths,
            "components": {
                "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
                "schemas": self.schemas.take_definitions(true),
            },
        })
    }
}

impl List for Description {
    fn add<T: 'static, H: Handler<T, Api> + Spoken<T>>(
        mut self,
        method: &Method,
        path: &'static str,
        need: Need,
        _: H,
    ) -> Self {
        let operation = H::speak(&mut self.schemas);
        let mut parameters = placeholders(path);
        parameters.extend(operation.parameters);
        if *method != Method::GET && need.role().is_some() {
            parameters.push(json!({
                "name": "Idempotency-Key",
                "in": "header",
                "required": false,
                "description": "The same call with the same key is done once, and answered the same again.",
                "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
            }));
        }
        let mut answers = operation.answers;
        if !path.starts_with("/api/") {
            answers.insert("default".to_owned(), why_not_elsewhere(need));
        }
        let mut described = json!({ "responses": answers });
        if !parameters.is_empty() {
            described["parameters"] = Value::Array(parameters);
        }
        if let Some(body) = operation.body {
            described["requestBody"] = body;
        }
        match need.role() {
            None => described["security"] = json!([]),
            Some(role) => described["x-role"] = json!(role.word()),
        }
        let method = method.as_str().to_ascii_lowercase();
        let methods = self.paths.entry(path).or_insert_with(|| json!({}));
        methods[&method] = described;
        self.last = Some((path, method));
        self
    }

    fn about(mut self, sentence: &'static str) -> Self {
        if let Some((path, method)) = &self.last {
            self.paths[*path][method]["summary"] = json!(sentence);
        }
        self
    }
}

/// `GET /api/v1/openapi.json`.
pub(super) async fn document() -> Response {
    static DOCUMENT: LazyLock<String> =
        LazyLock::new(|| super::routes(Description::new()).document().to_string());
    ([(header::CONTENT_TYPE, JSON)], DOCUMENT.as_str()).into_response()
}

/// How calls are refused outside of the native API: as duplistatus does, and pings in plain words.
fn why_not_elsewhere(need: Need) -> Value {
    let error = json!({
        "type": "object",
        "required": ["error"],
        "properties": { "error": { "type": "string", "description": "why not" } },
    });
    let mut content = json!({ JSON: { "schema": error } });
    if need == Need::Key {
        content["text/plain"] = json!({ "schema": { "type": "string" } });
    }
    json!({ "description": "why not", "content": content })
}

/// The parameters of a path.
fn placeholders(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect()
}

/// The schema of a type, by reference where it has a name.
fn schema<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    schemas.subschema_for::<T>().to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(reference)) = object.get("$ref") {
                    found.push(reference.clone());
                }
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_route_says_what_it_is_for_and_every_reference_leads_somewhere() {
        let document = super::super::routes(Description::new()).document();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, described) in methods.as_object().unwrap() {
                assert!(
                    described["summary"].as_str().is_some_and(|about| about.len() > 8),
                    "{method} {path}"
                );
                assert!(!described["responses"].as_object().unwrap().is_empty(), "{method} {path}");
            }
        }
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 50);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let trigger = &document["paths"]["/api/v1/tasks/{id}/runs"]["post"];
        assert_eq!(trigger["requestBody"]["required"], false);
        assert_eq!(trigger["x-role"], "operator");
        assert_eq!(trigger["parameters"][0]["in"], "path");
        assert_eq!(
            trigger["responses"]["202"]["content"][JSON]["schema"]["$ref"],
            "#/components/schemas/RunAccepted"
        );
    }
}
