//! What a handler's arguments say of its call.

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

use super::super::extract::{Body, BodyOrDefault, Id, Params};
use super::{Operation, schema};

/// An argument of a handler.
pub(in super::super) trait Part {
    /// Tells what of the call it is; nothing, if it comes from within.
    fn tell(_: &mut Operation, _: &mut SchemaGenerator) {}
}

impl<S> Part for State<S> {}
impl<E> Part for Extension<E> {}
impl<E> Part for Option<Extension<E>> {}
impl Part for HeaderMap {}
impl Part for Request {}
/// The path's placeholders tell.
impl Part for Id {}
impl<T, E> Part for Result<Path<T>, E> {}

impl<T: JsonSchema> Part for Params<T> {
    fn tell(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        let object = T::json_schema(schemas);
        let required: Vec<&str> = object
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for (name, schema) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
            operation.query(name, schema, required.contains(&name.as_str()));
        }
    }
}

impl<T: JsonSchema> Part for Body<T> {
    fn tell(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.takes(&schema::<T>(schemas), true);
    }
}

impl<T: JsonSchema> Part for BodyOrDefault<T> {
    fn tell(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.takes(&schema::<T>(schemas), false);
    }
}
