//! What a handler's result says of its call's answer, the status among it.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;

use crate::wire::Problem;

use super::super::problem::Failure;
use super::{JSON, Operation, PROBLEM, schema};

/// 202: it is on disk, and will be done.
#[derive(Debug)]
pub(in super::super) struct Accepted<T>(pub(in super::super) T);

/// 201: it is there now.
#[derive(Debug)]
pub(in super::super) struct Created<T>(pub(in super::super) T);

impl<T: Serialize> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self.0)).into_response()
    }
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

/// 201, or 200 where it was there before: it is as asked, at a place of its own.
#[derive(Debug)]
pub(in super::super) struct Located<T> {
    /// Where, as a path.
    pub(in super::super) location: String,
    /// Whether it has come to be.
    pub(in super::super) is_new: bool,
    /// What is there now.
    pub(in super::super) body: T,
}

impl<T: Serialize> IntoResponse for Located<T> {
    fn into_response(self) -> Response {
        let status = if self.is_new { StatusCode::CREATED } else { StatusCode::OK };
        (status, [(header::LOCATION, self.location)], Json(self.body)).into_response()
    }
}

/// The result of a handler.
pub(in super::super) trait Answer {
    /// Tells what answers there are.
    fn tell(operation: &mut Operation, schemas: &mut SchemaGenerator);
}

impl<T: JsonSchema> Answer for Json<T> {
    fn tell(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.answers("200", "done, or as it is", Some((JSON, schema::<T>(schemas))));
    }
}

impl<T: JsonSchema> Answer for Accepted<T> {
    fn tell(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.answers("202", "it is on disk, and will be done", Some((JSON, schema::<T>(schemas))));
    }
}

impl<T: JsonSchema> Answer for Created<T> {
    fn tell(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.answers("201", "it is there now", Some((JSON, schema::<T>(schemas))));
    }
}

impl<T: JsonSchema> Answer for Located<T> {
    fn tell(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.answers("200", "it was there, and is as asked now", Some((JSON, schema::<T>(schemas))));
        Created::<T>::tell(operation, schemas);
    }
}

/// Text or a stream, in a form of its own.
impl Answer for Response {
    fn tell(operation: &mut Operation, _: &mut SchemaGenerator) {
        operation.answers("200", "text, in a form of its own", None);
    }
}

impl<T: Answer> Answer for Result<T, Failure> {
    fn tell(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        T::tell(operation, schemas);
        operation.answers("default", "why not", Some((PROBLEM, schema::<Problem>(schemas))));
    }
}
