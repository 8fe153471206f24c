//! Which failures the steps are asked for.

use core::error::Error;
use std::sync::Arc;

use state_core::Refusal;

use crate::{Cause, Degraded, Mark};

type ErrorPredicate = Arc<dyn Fn(&(dyn Error + Send + Sync + 'static)) -> bool + Send + Sync>;

/// The rules of one layer: what counts as a failure, and what is known about responses.
pub(crate) struct Rules<Resp> {
    errors: Errors,
    responses: Responses<Resp>,
    mark: Option<Arc<dyn Mark<Resp> + Send + Sync>>,
}

#[derive(Clone)]
enum Errors {
    Any,
    Refusals,
    Chosen(ErrorPredicate),
}

enum Responses<Resp> {
    None,
    Refusals,
    Chosen(Arc<dyn Fn(&Resp) -> bool + Send + Sync>),
}

impl<Resp> Rules<Resp> {
    pub(crate) fn new() -> Self {
        Self {
            errors: Errors::Any,
            responses: Responses::None,
            mark: None,
        }
    }

    pub(crate) fn on_error(
        &mut self,
        predicate: impl Fn(&(dyn Error + Send + Sync + 'static)) -> bool + Send + Sync + 'static,
    ) {
        self.errors = Errors::Chosen(Arc::new(predicate));
    }

    pub(crate) fn on_response(&mut self, predicate: impl Fn(&Resp) -> bool + Send + Sync + 'static) {
        self.responses = Responses::Chosen(Arc::new(predicate));
    }

    pub(crate) fn on_refusal(&mut self) {
        self.errors = Errors::Refusals;
        self.responses = Responses::Refusals;
    }

    pub(crate) fn mark_with(&mut self, mark: impl Mark<Resp> + Send + Sync + 'static) {
        self.mark = Some(Arc::new(mark));
    }

    /// Whether the steps are asked. (A response has been judged before it became a cause.)
    pub(crate) fn takes(&self, cause: &Cause<Resp>) -> bool {
        let Some(error) = cause.error() else { return true };
        match &self.errors {
            Errors::Any => true,
            Errors::Refusals => Refusal::find(error).is_some(),
            Errors::Chosen(predicate) => predicate(error),
        }
    }

    /// The response as a cause, if it counts as a failure.
    pub(crate) fn judge(&self, response: Resp) -> Result<Resp, Cause<Resp>> {
        let failed = match &self.responses {
            Responses::None => false,
            Responses::Refusals => self.is_refusal(&response),
            Responses::Chosen(predicate) => predicate(&response),
        };
        if !failed {
            Ok(response)
        } else if self.is_refusal(&response) {
            Err(Cause::refused_response(response))
        } else {
            Err(Cause::from_response(response))
        }
    }

    fn is_refusal(&self, response: &Resp) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.is_refusal(response))
    }

    pub(crate) fn is_good(&self, response: &Resp) -> bool {
        self.mark.as_ref().is_none_or(|mark| mark.is_good(response))
    }

    pub(crate) fn mark(&self, response: &mut Resp, degraded: Degraded) {
        if let Some(mark) = &self.mark {
            mark.mark(response, degraded);
        }
    }
}

// By hand: a derive would ask for `Resp: Clone`.
impl<Resp> Clone for Rules<Resp> {
    fn clone(&self) -> Self {
        Self {
            errors: self.errors.clone(),
            responses: self.responses.clone(),
            mark: self.mark.clone(),
        }
    }
}

impl<Resp> Clone for Responses<Resp> {
    fn clone(&self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Refusals => Self::Refusals,
            Self::Chosen(predicate) => Self::Chosen(Arc::clone(predicate)),
        }
    }
}
