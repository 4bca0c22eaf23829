//! The list of routes, each with what its callers need: there is no way to add
//! one without saying so.

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{MethodFilter, on};

use crate::model::Role;

use super::access::{self, Gate};
use super::openapi::Spoken;
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

/// Takes routes one by one: to serve them, or to describe them.
pub(super) trait List: Sized {
    /// Adds a route.
    fn add<T: 'static, H: Handler<T, Api> + Spoken<T>>(
        self,
        method: &Method,
        path: &'static str,
        need: Need,
        handler: H,
    ) -> Self;

    /// Says what the route that was added last is for.
    #[must_use]
    fn about(self, _sentence: &'static str) -> Self {
        self
    }

    /// Adds a `GET` route.
    #[must_use]
    fn get<T: 'static>(
        self,
        path: &'static str,
        need: Need,
        handler: impl Handler<T, Api> + Spoken<T>,
    ) -> Self {
        self.add(&Method::GET, path, need, handler)
    }

    /// Adds a `POST` route.
    #[must_use]
    fn post<T: 'static>(
        self,
        path: &'static str,
        need: Need,
        handler: impl Handler<T, Api> + Spoken<T>,
    ) -> Self {
        self.add(&Method::POST, path, need, handler)
    }

    /// Adds a `PUT` route.
    #[must_use]
    fn put<T: 'static>(
        self,
        path: &'static str,
        need: Need,
        handler: impl Handler<T, Api> + Spoken<T>,
    ) -> Self {
        self.add(&Method::PUT, path, need, handler)
    }

    /// Adds a `DELETE` route.
    #[must_use]
    fn delete<T: 'static>(
        self,
        path: &'static str,
        need: Need,
        handler: impl Handler<T, Api> + Spoken<T>,
    ) -> Self {
        self.add(&Method::DELETE, path, need, handler)
    }
}

/// Routes that are being gathered to be served.
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

    fn gate(&self, need: Need, path: &'static str) -> Gate {
        Gate { api: self.api.clone(), need, path }
    }

    /// The routes as they were added.
    #[cfg(test)]
    pub(super) fn list(&self) -> &[Route] {
        &self.list
    }

    /// The routes, and what is said where there is none: to known callers only.
    pub(super) fn into_router(self) -> Router {
        let known = from_fn_with_state(self.gate(Need::Viewer, "elsewhere"), access::guard);
        let wrong = async |request: Request| -> Response { wrong_method(request).await };
        let nothing = async |request: Request| -> Response { nothing_here(request).await };
        self.router
            .method_not_allowed_fallback(wrong.layer(known.clone()))
            .fallback(nothing.layer(known))
            .with_state(self.api)
    }
}

impl List for Routes {
    fn add<T: 'static, H: Handler<T, Api> + Spoken<T>>(
        mut self,
        method: &Method,
        path: &'static str,
        need: Need,
        handler: H,
    ) -> Self {
        tracing::trace!(%method, path, ?need, "a route");
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
        let guarded =
            on(filter, handler).route_layer(from_fn_with_state(self.gate(need, path), access::guard));
        self.router = self.router.route(path, guarded);
        #[cfg(test)]
        self.list.push(Route { method: method.clone(), path, need });
        self
    }
}
