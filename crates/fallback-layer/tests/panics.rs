//! A callback that panics: the panic goes to the caller of that call, and nobody else notices.

mod support;

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use fallback_layer::{Cause, FallbackLayer, LastGood, Step};
use support::{BoxError, Broken, Script, failing};
use tower::{Layer, Service, ServiceExt};

/// Panics while it is armed.
#[derive(Clone, Default)]
struct Fuse(Arc<AtomicBool>);

impl Fuse {
    fn arm(&self) -> &Self {
        self.0.store(true, Ordering::Relaxed);
        self
    }

    fn disarm(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn check(&self) {
        assert!(!self.0.load(Ordering::Relaxed), "the callback's own panic");
    }
}

/// Polls to the end and says whether it panicked with the callback's own panic.
async fn panics<T>(call: impl Future<Output = T>) -> bool {
    let mut call = Box::pin(call);
    let said = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(_)) => Poll::Ready(None),
        Err(panic) => Poll::Ready(Some(panic)),
    })
    .await;
    said.is_some_and(|said| *said.downcast_ref::<&str>().unwrap() == "the callback's own panic")
}

fn down<Resp>() -> impl Service<u32, Response = Resp, Error = BoxError> + Clone {
    failing(|| Broken("down").into())
}

#[tokio::test]
async fn a_key_function_that_panics() {
    let fuse = Fuse::default();
    let in_key = fuse.clone();
    let layer = FallbackLayer::new().cached(move |number: &u32| {
        in_key.check();
        *number
    });
    let mut service = layer.layer(Script::new([Ok("good"), Err("down")]));
    fuse.arm();
    assert!(panics(service.clone().oneshot(1)).await);
    fuse.disarm();
    assert_eq!(service.ready().await.unwrap().call(1).await.unwrap(), "good");
    assert_eq!(service.ready().await.unwrap().call(1).await.unwrap(), "good");
}

#[tokio::test]
async fn a_predicate_that_panics() {
    let fuse = Fuse::default();
    let (on_error, on_response, when) = (fuse.clone(), fuse.clone(), fuse.clone());
    let by_error = FallbackLayer::new()
        .on_error(move |_| {
            on_error.check();
            true
        })
        .respond(|_, _| "sorry");
    let by_response = FallbackLayer::new()
        .on_response(move |answer| {
            on_response.check();
            *answer == "bad"
        })
        .respond(|_, _| "sorry");
    let by_step = FallbackLayer::new()
        .respond(|_, _| "sorry")
        .when(move |_, _| {
            when.check();
            true
        })
        .at_most(1)
        .build()
        .unwrap();
    fuse.arm();
    assert!(panics(by_error.layer(down()).oneshot(1)).await);
    assert!(panics(by_response.layer(Script::new([Ok("bad")])).oneshot(1)).await);
    assert!(panics(by_step.layer(down()).oneshot(1)).await);
    fuse.disarm();
    assert_eq!(by_error.layer(down()).oneshot(1).await.unwrap(), "sorry");
    assert_eq!(
        by_response.layer(Script::new([Ok("bad")])).oneshot(1).await.unwrap(),
        "sorry"
    );
    assert_eq!(by_step.layer(down()).oneshot(1).await.unwrap(), "sorry");
}

#[tokio::test]
async fn an_answer_that_panics_gives_its_place_back() {
    let fuse = Fuse::default();
    let in_answer = fuse.clone();
    let layer = FallbackLayer::new()
        .respond(move |_, _| {
            in_answer.check();
            "sorry"
        })
        .at_most(1)
        .build()
        .unwrap();
    fuse.arm();
    assert!(panics(layer.layer(down()).oneshot(1)).await);
    assert!(
        panics(layer.layer(down()).oneshot(1)).await,
        "the place is free: it is asked again"
    );
    fuse.disarm();
    assert_eq!(layer.layer(down()).oneshot(1).await.unwrap(), "sorry");
}

#[tokio::test]
async fn a_step_whose_future_panics_gives_its_place_back() {
    #[derive(Clone)]
    struct Late(Fuse);
    impl<Kept> Step<u32, &'static str, Kept> for Late {
        type Held = ();
        type Future = std::pin::Pin<Box<dyn Future<Output = Result<Option<&'static str>, BoxError>> + Send>>;
        fn hold(&self, _: &u32) {}
        fn answer(&self, (): (), _: &Kept, _: &Cause<&'static str>) -> Self::Future {
            let fuse = self.0.clone();
            Box::pin(async move {
                tokio::task::yield_now().await;
                fuse.check();
                Ok(Some("late"))
            })
        }
    }
    let fuse = Fuse::default();
    let layer = FallbackLayer::new()
        .step("late", Late(fuse.clone()))
        .at_most(1)
        .build()
        .unwrap();
    fuse.arm();
    assert!(panics(layer.layer(down()).oneshot(1)).await);
    fuse.disarm();
    assert_eq!(layer.layer(down()).oneshot(1).await.unwrap(), "late");
}

#[tokio::test]
async fn a_weigher_that_panics_stores_nothing() {
    let fuse = Fuse::default();
    let in_weigher = fuse.clone();
    let answers = LastGood::builder()
        .max_weight(100, move |_: &u32, _: &&str| {
            in_weigher.check();
            1
        })
        .max_age(Duration::from_secs(60))
        .build()
        .unwrap();
    let layer = FallbackLayer::new().cached_in(&answers, |number: &u32| Some(*number));
    fuse.arm();
    assert!(panics(layer.layer(Script::new([Ok("good")])).oneshot(1)).await);
    assert_eq!(answers.entries(), 0);
    fuse.disarm();
    layer.layer(Script::new([Ok("good")])).oneshot(1).await.unwrap();
    assert_eq!(layer.layer(down()).oneshot(1).await.unwrap(), "good");
}

#[tokio::test]
async fn a_keep_hook_a_mark_and_a_last_word_that_panic() {
    let fuse = Fuse::default();
    let (in_keep, in_mark, in_end) = (fuse.clone(), fuse.clone(), fuse.clone());
    let keeping = FallbackLayer::new()
        .keep_with(move |_: &u32| in_keep.check())
        .respond(|(), _| "sorry");
    let marking = FallbackLayer::new()
        .mark(move |_: &mut &str, _| in_mark.check())
        .respond(|_, _| "sorry");
    let ending = FallbackLayer::new().finally(move |_, _| {
        in_end.check();
        "sorry"
    });
    fuse.arm();
    assert!(panics(keeping.layer(down()).oneshot(1)).await);
    assert!(panics(marking.layer(down()).oneshot(1)).await);
    assert!(panics(ending.layer(down()).oneshot(1)).await);
    fuse.disarm();
    assert_eq!(keeping.layer(down()).oneshot(1).await.unwrap(), "sorry");
    assert_eq!(marking.layer(down()).oneshot(1).await.unwrap(), "sorry");
    assert_eq!(ending.layer(down()).oneshot(1).await.unwrap(), "sorry");
}

#[tokio::test]
async fn a_backup_whose_clone_or_call_panics() {
    struct Fused(Fuse, bool);
    impl Clone for Fused {
        fn clone(&self) -> Self {
            if !self.1 {
                self.0.check();
            }
            Self(self.0.clone(), self.1)
        }
    }
    impl Service<u32> for Fused {
        type Response = &'static str;
        type Error = BoxError;
        type Future = std::future::Ready<Result<&'static str, BoxError>>;
        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: u32) -> Self::Future {
            self.0.check();
            std::future::ready(Ok("backup"))
        }
    }
    for in_call in [false, true] {
        let fuse = Fuse::default();
        let layer = FallbackLayer::new()
            .keep(fallback_layer::CloneRequest)
            .service(Fused(fuse.clone(), in_call))
            .at_most(1)
            .build()
            .unwrap();
        fuse.arm();
        assert!(panics(layer.layer(down()).oneshot(1)).await);
        fuse.disarm();
        assert_eq!(layer.layer(down()).oneshot(1).await.unwrap(), "backup");
    }
}

#[tokio::test]
async fn a_service_that_panics() {
    let fuse = Fuse::default();
    let inner = fuse.clone();
    let inner = tower::service_fn(move |_: u32| {
        let fuse = inner.clone();
        async move {
            fuse.check();
            Ok::<_, BoxError>("real")
        }
    });
    let service = FallbackLayer::new().respond(|_, _| "sorry").layer(inner);
    fuse.arm();
    assert!(panics(service.clone().oneshot(1)).await, "a panic is not an error");
    fuse.disarm();
    assert_eq!(service.oneshot(1).await.unwrap(), "real");
}
