//! The list of routes, each with what its callers need: there is no way to add
//! one without saying so.

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, post, put};

use crate::model::Role;

use super::access::{self, Gate};
use super::{Api, nothing_here, wrong_method};

/// What a caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Not even a token.
    Nothing,
    /// The key in the path: no token. The body is the handler's to bound.
    Key,
    /// To be a viewer.
    Viewer,
    /// To be a viewer of everybody's tasks.
    ViewerOfAll,
    /// To be an operator.
    Operator,
    /// To be an admin, if only of some teams.
    Admin,
    /// To be an admin of everybody's tasks.
    AdminOfAll,
}

impl Need {
    /// The least role; `None`: nobody has to be known.
    pub(super) const fn role(self) -> Option<Role> {
        match self {
            Self::Nothing | Self::Key => None,
            Self::Viewer | Self::ViewerOfAll => Some(Role::Viewer),
            Self::Operator => Some(Role::Operator),
            Self::Admin | Self::AdminOfAll => Some(Role::Admin),
        }
    }
}

/// A route as it was added.
#[cfg(test)]
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// Its method.
    pub(super) method: Method,
    /// Its path, with `{placeholders}`.
    pub(super) path: &'static str,
    /// What its callers need.
    pub(super) need: Need,
}

/// Routes that are being gathered.
#[derive(Debug)]
pub(super) struct Routes {
    api: Api,
    router: Router<Api>,
    #[cfg(test)]
    list: Vec<Route>,
}

impl Routes {
    /// None yet.
    pub(super) fn new(api: Api) -> Self {
        Self {
            api,
            router: Router::new(),
            #[cfg(test)]
            list: Vec::new(),
        }
    }

    /// Adds a `GET` route.
    pub(super) fn get<T: 'static>(
        self,
        path: &'static str,
        need: Need,
        handler: impl Handler<T, Api>,
    ) -> Self {
        self.add(&Method::GET, path, need, get(handler))
    }

    /// Adds a `POST` route.
    pub(super) fn post<T: 'static>(
        self,
        path: &'static str,
        need: Need,
        handler: impl Handler<T, Api>,
    ) -> Self {
        self.add(&Method::POST, path, need, post(handler))
    }

    /// Adds a `PUT` route.
    pub(super) fn put<T: 'static>(
        self,
        path: &'static str,
        need: Need,
        handler: impl Handler<T, Api>,
    ) -> Self {
        self.add(&Method::PUT, path, need, put(handler))
    }

    /// Adds a `DELETE` route.
    pub(super) fn delete<T: 'static>(
        self,
        path: &'static str,
        need: Need,
        handler: impl Handler<T, Api>,
    ) -> Self {
        self.add(&Method::DELETE, path, need, delete(handler))
    }

    fn add(mut self, method: &Method, path: &'static str, need: Need, route: MethodRouter<Api>) -> Self {
        tracing::trace!(%method, path, ?need, "a route");
        let guarded = route.route_layer(from_fn_with_state(self.gate(need), access::guard));
        self.router = self.router.route(path, guarded);
        #[cfg(test)]
        self.list.push(Route { method: method.clone(), path, need });
        self
    }

    fn gate(&self, need: Need) -> Gate {
        Gate { api: self.api.clone(), need }
    }

    /// The routes as they were added.
    #[cfg(test)]
    pub(super) fn list(&self) -> &[Route] {
        &self.list
    }

    /// The routes, and what is said where there is none: to known callers only.
    pub(super) fn into_router(self) -> Router {
        let known = from_fn_with_state(self.gate(Need::Viewer), access::guard);
        let wrong = async |request: Request| -> Response { wrong_method(request).await };
        let nothing = async |request: Request| -> Response { nothing_here(request).await };
        self.router
            .method_not_allowed_fallback(wrong.layer(known.clone()))
            .fallback(nothing.layer(known))
            .with_state(self.api)
    }
}
