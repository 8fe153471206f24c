//! Section 4: the last good answer, and what is kept of a request.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fallback_layer::{CloneRequest, Degraded, FallbackLayer, LastGood, Mark};
use support::{BoxError, Broken, Script, failing};
use tower::{Layer, Service, ServiceExt};

fn down<Resp>() -> impl Service<u32, Response = Resp, Error = BoxError> + Clone {
    failing(|| Broken("down").into())
}

async fn ask<S: Service<u32>>(service: S, number: u32) -> Option<S::Response> {
    service.oneshot(number).await.ok()
}

#[tokio::test]
async fn cached_answers_with_the_last_good_answer_for_the_key() {
    let layer = FallbackLayer::new().cached(|number: &u32| number % 10);
    assert_eq!(ask(layer.layer(down()), 1).await, None, "there is none yet");
    let mut service = layer.layer(Script::new([Ok("old"), Ok("new")]));
    service.ready().await.unwrap().call(1).await.unwrap();
    service.ready().await.unwrap().call(11).await.unwrap();
    assert_eq!(ask(layer.layer(down()), 1).await, Some("new"), "the last one");
    assert_eq!(ask(layer.layer(down()), 2).await, None, "another key");
}

#[tokio::test]
async fn a_request_without_a_key_is_neither_stored_nor_answered() {
    let layer = FallbackLayer::new().cached_if(|number: &u32| (*number > 0).then_some(*number));
    let answers = LastGood::<u32, &str>::builder().build().unwrap();
    ask(layer.layer(Script::new([Ok("good")])), 0).await.unwrap();
    assert_eq!(ask(layer.layer(down()), 0).await, None);

    let layer = FallbackLayer::new().cached_in(&answers, |number: &u32| (*number > 0).then_some(*number));
    ask(layer.layer(Script::new([Ok("good")])), 0).await.unwrap();
    assert_eq!(answers.entries(), 0);
    ask(layer.layer(Script::new([Ok("good")])), 1).await.unwrap();
    assert_eq!(answers.entries(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_older_than_max_age_is_not_given() {
    let minute = Duration::from_secs(60);
    let layer = FallbackLayer::new()
        .cached(|number: &u32| *number)
        .max_age(minute)
        .build()
        .unwrap();
    ask(layer.layer(Script::new([Ok("good")])), 1).await.unwrap();
    tokio::time::advance(minute).await;
    assert_eq!(ask(layer.layer(down()), 1).await, Some("good"));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(ask(layer.layer(down()), 1).await, None);
    ask(layer.layer(Script::new([Ok("again")])), 1).await.unwrap();
    assert_eq!(ask(layer.layer(down()), 1).await, Some("again"));
}

#[tokio::test]
async fn the_cache_is_bounded_a_flood_of_keys_stays_within_and_does_not_drive_out_the_keys_that_come_again() {
    let answers = LastGood::builder().max_entries(100).build().unwrap();
    let layer = FallbackLayer::new().cached_in(&answers, |number: &u32| Some(*number));
    let mut service = layer.layer(tower::service_fn(
        |number: u32| async move { Ok::<_, BoxError>(number) },
    ));
    for number in 0..100_000 {
        service.ready().await.unwrap().call(number).await.unwrap();
        if number % 10 == 0 {
            // The regulars: ten keys that come again and again, each after 100 others, which is more than fit.
            let regular = 1_000_000 + number / 10 % 10;
            service.ready().await.unwrap().call(regular).await.unwrap();
        }
    }
    assert!(answers.entries() <= 100, "{} entries", answers.entries());
    for regular in 1_000_000..1_000_010 {
        assert_eq!(ask(layer.layer(down()), regular).await, Some(regular));
    }
}

#[tokio::test]
async fn a_full_cache_takes_in_keys_that_come_again() {
    // A cache that admits by frequency and is never read would keep its first keys for ever.
    let answers = LastGood::builder().max_entries(10).build().unwrap();
    let layer = FallbackLayer::new().cached_in(&answers, |number: &u32| Some(*number));
    let service = || {
        layer.layer(tower::service_fn(
            |number: u32| async move { Ok::<_, BoxError>(number) },
        ))
    };
    for number in 0..10 {
        ask(service(), number).await.unwrap();
    }
    assert_eq!(answers.entries(), 10);
    for _ in 0..20 {
        ask(service(), 77).await.unwrap();
        answers.entries();
    }
    assert_eq!(ask(layer.layer(down()), 77).await, Some(77));
}

#[tokio::test]
async fn the_cache_can_be_bounded_by_weight() {
    let answers = LastGood::builder()
        .max_weight(1_000, |_, text: &Arc<str>| text.len().try_into().unwrap())
        .build()
        .unwrap();
    let layer = FallbackLayer::new().cached_in(&answers, |number: &u32| Some(*number));
    let service = |text: String| layer.layer(Script::new([Ok(Arc::<str>::from(text))]));
    for number in 0..50 {
        ask(service("x".repeat(100)), number).await.unwrap();
    }
    assert!(
        (1..=10).contains(&answers.entries()),
        "{} entries of 100 each",
        answers.entries()
    );
    answers.clear();
    ask(service("x".repeat(1_001)), 1).await.unwrap();
    assert_eq!(answers.entries(), 0, "heavier than all there is room for");

    let layer = FallbackLayer::<u32, u32>::new()
        .cached(|number| *number)
        .max_weight(2, |_, _| 0)
        .build()
        .unwrap();
    for number in 0..100 {
        ask(layer.layer(Script::new([Ok(number)])), number).await.unwrap();
    }
    let mut kept = 0;
    for number in 0..100 {
        kept += u32::from(ask(layer.layer(down()), number).await.is_some());
    }
    assert!(kept <= 66, "what weighs nothing counts as one: {kept} are kept");
}

#[tokio::test(start_paused = true)]
async fn an_answer_younger_than_refresh_after_is_not_stored_anew() {
    let layer = FallbackLayer::new()
        .cached(|number: &u32| *number)
        .refresh_after(Duration::from_secs(10))
        .build()
        .unwrap();
    let mut service = layer.layer(Script::new([Ok("first"), Ok("second"), Ok("third")]));
    service.ready().await.unwrap().call(1).await.unwrap();
    tokio::time::advance(Duration::from_secs(9)).await;
    service.ready().await.unwrap().call(1).await.unwrap();
    assert_eq!(ask(layer.layer(down()), 1).await, Some("first"));
    tokio::time::advance(Duration::from_secs(1)).await;
    service.ready().await.unwrap().call(1).await.unwrap();
    assert_eq!(ask(layer.layer(down()), 1).await, Some("third"));
}

#[tokio::test]
async fn answers_can_be_forgotten_by_hand_and_shared_between_layers() {
    let answers = LastGood::builder().build().unwrap();
    let one = FallbackLayer::<u32, &str>::new().cached_in(&answers, |number| Some(*number));
    let other = FallbackLayer::<u32, &str>::new().cached_in(&answers.clone(), |number| Some(*number));
    for number in 0..3 {
        ask(one.layer(Script::new([Ok("good")])), number).await.unwrap();
    }
    assert_eq!(ask(other.layer(down()), 0).await, Some("good"));
    answers.forget(&0);
    assert_eq!(ask(other.layer(down()), 0).await, None);
    assert_eq!(ask(other.layer(down()), 1).await, Some("good"));
    answers.clear();
    assert_eq!(ask(other.layer(down()), 1).await, None);
}

#[tokio::test]
async fn a_degraded_answer_is_never_stored_as_a_last_good_answer() {
    let answers = LastGood::builder().build().unwrap();
    let layer = FallbackLayer::new()
        .keep(CloneRequest)
        .cached_in(&answers, |number: &u32| Some(*number))
        .service(Script::new([Ok("backup")]))
        .respond(|_, _| "sorry");
    assert_eq!(ask(layer.layer(down()), 1).await, Some("backup"));
    assert_eq!(answers.entries(), 0);

    ask(layer.layer(Script::new([Ok("good")])), 1).await.unwrap();
    for _ in 0..3 {
        assert_eq!(ask(layer.layer(down()), 1).await, Some("good"));
    }
}

#[tokio::test]
async fn an_answer_that_a_fallback_further_in_has_marked_is_never_stored() {
    #[derive(Clone)]
    struct Flag;
    impl Mark<(u32, bool)> for Flag {
        fn mark(&self, answer: &mut (u32, bool), _: Degraded) {
            answer.1 = true;
        }
        fn is_good(&self, answer: &(u32, bool)) -> bool {
            !answer.1
        }
    }
    let inner = FallbackLayer::new().mark(Flag).respond(|_, _| (0, false));
    let answers = LastGood::builder().build().unwrap();
    let outer = FallbackLayer::new()
        .mark(Flag)
        .cached_in(&answers, |number: &u32| Some(*number));
    assert_eq!(ask(outer.layer(inner.layer(down())), 1).await, Some((0, true)));
    assert_eq!(answers.entries(), 0);
    ask(outer.layer(inner.layer(Script::new([Ok((1, false))]))), 1)
        .await
        .unwrap();
    assert_eq!(answers.entries(), 1);
}

#[tokio::test]
async fn a_failed_response_is_never_stored() {
    let answers = LastGood::builder().build().unwrap();
    let layer = FallbackLayer::new()
        .on_response(|status: &u16| *status >= 500)
        .cached_in(&answers, |number: &u32| Some(*number));
    assert_eq!(ask(layer.layer(Script::new([Ok(503)])), 1).await, Some(503));
    assert_eq!(answers.entries(), 0);
    ask(layer.layer(Script::new([Ok(200)])), 1).await.unwrap();
    assert_eq!(ask(layer.layer(Script::new([Ok(503)])), 1).await, Some(200));
}

#[tokio::test]
async fn a_dropped_call_stores_nothing() {
    let answers = LastGood::<u32, u32>::builder().build().unwrap();
    let layer = FallbackLayer::new().cached_in(&answers, |number: &u32| Some(*number));
    let mut call = tokio_test::task::spawn(layer.layer(support::hanging()).oneshot(1));
    tokio_test::assert_pending!(call.poll());
    drop(call);
    assert_eq!(answers.entries(), 0);
}

/// Counts the clones that are made of it.
#[derive(Debug)]
struct Heavy {
    clones: Arc<AtomicUsize>,
    number: u32,
}

impl Clone for Heavy {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Ordering::Relaxed);
        Self {
            clones: Arc::clone(&self.clones),
            number: self.number,
        }
    }
}

#[tokio::test]
async fn a_request_that_succeeds_is_not_cloned_unless_that_was_asked_for() {
    let clones = Arc::new(AtomicUsize::new(0));
    let heavy = || Heavy {
        clones: Arc::clone(&clones),
        number: 7,
    };
    let echo = || tower::service_fn(|heavy: Heavy| async move { Ok::<_, BoxError>(heavy.number) });
    let broken = || tower::service_fn(|_: Heavy| async { Err::<u32, _>(BoxError::from("down")) });

    let layer = FallbackLayer::new()
        .cached(|heavy: &Heavy| heavy.number)
        .respond(|_, _| 0);
    layer.layer(echo()).oneshot(heavy()).await.unwrap();
    let layer = FallbackLayer::new()
        .keep_with_restore(
            |heavy: &Heavy| (Arc::clone(&heavy.clones), heavy.number),
            |(clones, number)| {
                Some(Heavy {
                    clones: Arc::clone(clones),
                    number: *number,
                })
            },
        )
        .service(echo());
    assert_eq!(layer.layer(echo()).oneshot(heavy()).await.unwrap(), 7);
    assert_eq!(layer.layer(broken()).oneshot(heavy()).await.unwrap(), 7);
    assert_eq!(clones.load(Ordering::Relaxed), 0);

    let layer = FallbackLayer::new().keep(CloneRequest).service(echo());
    layer.layer(echo()).oneshot(heavy()).await.unwrap();
    assert_eq!(clones.load(Ordering::Relaxed), 1, "an explicit clone");
}

#[tokio::test]
async fn odd_keys_are_keys_like_any_other() {
    let layer = FallbackLayer::new().cached(String::clone);
    for key in ["", "{}", "a\r\nb: c", &"k".repeat(1 << 20)] {
        layer
            .layer(Script::new([Ok(key.len())]))
            .oneshot(key.to_owned())
            .await
            .unwrap();
        let answer = layer
            .layer(failing(|| Broken("down").into()))
            .oneshot(key.to_owned())
            .await;
        assert_eq!(answer.unwrap(), key.len());
    }
}
