//! What the tests have in common.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use state_core::Refusal;
use tower::Service;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// An error with a name, to be recognised by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) &'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Broken {}

/// A refusal as the layers of the house make them: the mark is its source.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Refusal);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("circuit \"fake\" is open")
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

pub(crate) fn refused() -> BoxError {
    Box::new(Refused(Refusal::new(None)))
}

/// A service that is always ready, answers with what it was given in turn, then with its last, and writes down what it
/// was asked.
pub(crate) struct Script<Req, Resp> {
    shared: Arc<Mutex<Shared<Req, Resp>>>,
}

struct Shared<Req, Resp> {
    answers: VecDeque<Result<Resp, &'static str>>,
    asked: Vec<Req>,
}

impl<Req, Resp> Clone for Script<Req, Resp> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<Req: Clone, Resp> Script<Req, Resp> {
    pub(crate) fn new(answers: impl IntoIterator<Item = Result<Resp, &'static str>>) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Shared {
                answers: answers.into_iter().collect(),
                asked: Vec::new(),
            })),
        }
    }

    pub(crate) fn asked(&self) -> Vec<Req> {
        self.shared.lock().unwrap().asked.clone()
    }
}

impl<Req, Resp: Clone> Service<Req> for Script<Req, Resp> {
    type Response = Resp;
    type Error = BoxError;
    type Future = Ready<Result<Resp, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let mut shared = self.shared.lock().unwrap();
        shared.asked.push(request);
        let answer = match shared.answers.len() {
            0 | 1 => shared.answers.front().expect("a script has an answer").clone(),
            _ => shared.answers.pop_front().expect("there are two"),
        };
        ready(answer.map_err(|name| Broken(name).into()))
    }
}

/// A service that fails with what `make` makes.
pub(crate) fn failing<Req, Resp>(
    make: impl Fn() -> BoxError + Clone,
) -> impl Service<Req, Response = Resp, Error = BoxError, Future = Ready<Result<Resp, BoxError>>> + Clone {
    tower::service_fn(move |_: Req| ready(Err(make())))
}

/// A service that never answers.
pub(crate) fn hanging<Req, Resp>()
-> impl Service<Req, Response = Resp, Error = BoxError, Future = std::future::Pending<Result<Resp, BoxError>>> + Clone {
    tower::service_fn(|_: Req| std::future::pending())
}
