//! Section 4: the chain and its steps.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fallback_layer::{Cause, CauseKind, CloneRequest, FallbackError, FallbackLayer, LastGood, Step};
use support::{BoxError, Broken, Script, failing, hanging};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceExt};

fn down<Resp>() -> impl Service<u32, Response = Resp, Error = BoxError, Future: Send + 'static> + Clone + Send + 'static
where
    Resp: Send + 'static,
{
    failing(|| Broken("down").into())
}

#[tokio::test]
async fn each_step_answers_or_passes_on() {
    let layer = FallbackLayer::new()
        .respond_if(|_, _| None)
        .named("shy")
        .respond_if(|_, _| Some("second"))
        .respond(|_, _| "third");
    assert_eq!(layer.layer(down()).oneshot(1).await.unwrap(), "second");
}

#[tokio::test]
async fn steps_run_in_order_and_none_after_the_one_that_answers() {
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let order = Arc::clone(&order);
        move || order.lock().unwrap().push(name)
    };
    let (first, second, third) = (note("first"), note("second"), note("third"));
    let layer = FallbackLayer::new()
        .respond_if(move |_, _| {
            first();
            None
        })
        .respond_if(move |_, _| {
            second();
            Some("second")
        })
        .respond(move |_, _| {
            third();
            "third"
        });
    assert_eq!(layer.layer(down()).oneshot(1).await.unwrap(), "second");
    assert_eq!(*order.lock().unwrap(), ["first", "second"]);
}

#[tokio::test]
async fn a_call_that_succeeds_asks_no_step() {
    let layer = FallbackLayer::new().respond(|_, _| -> &str { panic!("asked") });
    assert_eq!(layer.layer(Script::new([Ok("real")])).oneshot(1).await.unwrap(), "real");
}

#[tokio::test]
async fn the_last_error_is_reported_with_the_first_as_its_source() {
    let layer = FallbackLayer::<u32, ()>::new()
        .keep(CloneRequest)
        .service(Script::new([Err("backup one is down")]))
        .named("one")
        .service(Script::new([Err("backup two is down")]))
        .named("two")
        .respond_if(|_, _| None);
    let error = layer.layer(down()).oneshot(1).await.unwrap_err();

    assert_eq!(
        error.to_string(),
        "no fallback answered: step \"two\": backup two is down"
    );
    assert_eq!(error.source().unwrap().downcast_ref(), Some(&Broken("down")));
    let found = FallbackError::find(&*error).unwrap();
    assert_eq!(found.step(), "two");
    assert_eq!(
        found.last().unwrap().downcast_ref(),
        Some(&Broken("backup two is down"))
    );
    assert!(!found.took_too_long());
}

#[tokio::test]
async fn an_error_that_no_step_applies_to_goes_out_untouched_and_downcastable() {
    let layer = FallbackLayer::<u32, ()>::new()
        .respond_if(|_, _| None)
        .respond(|_, _| ())
        .when(|_, _| false);
    let error = layer.layer(down()).oneshot(1).await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Broken("down")));

    let error = FallbackLayer::<u32, ()>::new()
        .layer(down())
        .oneshot(1)
        .await
        .unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Broken("down")));
}

#[tokio::test]
async fn a_refusal_is_still_found_when_every_step_failed() {
    let layer = FallbackLayer::<u32, ()>::new()
        .keep(CloneRequest)
        .service(Script::new([Err("backup is down")]));
    let error = layer.layer(failing(support::refused)).oneshot(1).await.unwrap_err();
    assert!(state_core::Refusal::find(&*error).is_some());
}

#[tokio::test]
async fn respond_answers_with_a_value_or_a_function_of_the_kept_request_and_the_error() {
    let value = FallbackLayer::new().respond_value("closed".to_owned());
    assert_eq!(value.layer(down()).oneshot(1).await.unwrap(), "closed");

    let layer = FallbackLayer::new()
        .keep_with(|number: &u32| number * 2)
        .respond(|double, cause| format!("{double}: {}", cause.error().unwrap()));
    assert_eq!(layer.layer(down()).oneshot(21).await.unwrap(), "42: down");
}

#[tokio::test]
async fn service_asks_a_backup_with_the_same_request() {
    let backup = Script::new([Ok("backup")]);
    let layer = FallbackLayer::new().keep(CloneRequest).service(backup.clone());
    assert_eq!(layer.layer(down()).oneshot(7).await.unwrap(), "backup");
    assert_eq!(backup.asked(), [7]);
}

#[tokio::test]
async fn a_backup_passes_on_when_the_request_cannot_be_made_again() {
    let backup = Script::new([Ok("backup")]);
    let layer = FallbackLayer::new()
        .keep_with_restore(|_: &u32| (), |()| None)
        .service(backup.clone())
        .respond(|(), _| "else");
    assert_eq!(layer.layer(down()).oneshot(7).await.unwrap(), "else");
    assert!(backup.asked().is_empty());
}

#[tokio::test]
async fn a_step_may_have_its_own_predicate() {
    let layer = FallbackLayer::new()
        .keep(CloneRequest)
        .respond(|_, _| "even")
        .when(|number, _| number % 2 == 0)
        .respond(|_, _| "refused")
        .when(|_, cause| cause.kind() == CauseKind::Refusal)
        .respond(|_, _| "other");
    assert_eq!(layer.layer(down()).oneshot(2).await.unwrap(), "even");
    assert_eq!(layer.layer(down()).oneshot(3).await.unwrap(), "other");
    assert_eq!(
        layer.layer(failing(support::refused)).oneshot(3).await.unwrap(),
        "refused"
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_may_have_its_own_time_limit() {
    let limit = Duration::from_secs(3);
    let layer = FallbackLayer::new()
        .keep(CloneRequest)
        .service(hanging())
        .within(limit)
        .build()
        .unwrap();
    let started = tokio::time::Instant::now();
    let error = layer.layer(down::<()>()).oneshot(1).await.unwrap_err();
    assert_eq!(started.elapsed(), limit);
    assert_eq!(
        error.to_string(),
        "no fallback answered: step \"service\" did not answer within 3s"
    );
    assert!(FallbackError::find(&*error).unwrap().took_too_long());
    assert_eq!(error.source().unwrap().downcast_ref(), Some(&Broken("down")));

    let layer = FallbackLayer::new()
        .keep(CloneRequest)
        .service(hanging())
        .within(limit)
        .respond(|_, _| "in time")
        .build()
        .unwrap();
    assert_eq!(layer.layer(down()).oneshot(1).await.unwrap(), "in time");
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_of_one_step_is_not_that_of_the_next() {
    let slow = tower::service_fn(|_: u32| async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok::<_, BoxError>("slow")
    });
    let layer = FallbackLayer::new()
        .keep(CloneRequest)
        .service(hanging())
        .within(Duration::from_secs(1))
        .service(slow)
        .build()
        .unwrap();
    assert_eq!(layer.layer(down()).oneshot(1).await.unwrap(), "slow");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_as_the_limit_ends_counts() {
    let slow = tower::service_fn(|_: u32| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<_, BoxError>("just in time")
    });
    let layer = FallbackLayer::new()
        .keep(CloneRequest)
        .service(slow)
        .within(Duration::from_secs(1))
        .build()
        .unwrap();
    assert_eq!(layer.layer(down()).oneshot(1).await.unwrap(), "just in time");
}

#[tokio::test]
async fn a_step_may_have_its_own_concurrency_bound() {
    let layer = FallbackLayer::new()
        .keep(CloneRequest)
        .service(hanging())
        .at_most(2)
        .respond(|_, _| "full")
        .build()
        .unwrap();
    let mut one = task::spawn(layer.layer(down()).oneshot(1));
    let mut two = task::spawn(layer.layer(down()).oneshot(2));
    assert_pending!(one.poll());
    assert_pending!(two.poll());
    let mut three = task::spawn(layer.layer(down()).oneshot(3));
    assert_eq!(assert_ready!(three.poll()).unwrap(), "full");

    drop(one);
    let mut four = task::spawn(layer.layer(down()).oneshot(4));
    assert_pending!(four.poll(), "the place that was given back is taken again");
    let mut five = task::spawn(layer.layer(down()).oneshot(5));
    assert_eq!(assert_ready!(five.poll()).unwrap(), "full");
}

#[tokio::test]
async fn a_place_is_given_back_when_the_step_answers_fails_or_passes_on() {
    let outcomes = [Ok("answer"), Err("failed")];
    for outcome in outcomes {
        let layer = FallbackLayer::new()
            .keep(CloneRequest)
            .service(Script::new([outcome]))
            .at_most(1)
            .build()
            .unwrap();
        for _ in 0..3 {
            let answer = layer.layer(down()).oneshot(1).await;
            assert_eq!(answer.is_ok(), outcome.is_ok(), "a full step would not have failed");
            assert_eq!(
                answer.is_err_and(|error| FallbackError::find(&*error).is_some()),
                outcome.is_err()
            );
        }
    }
    let passed_on = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&passed_on);
    let layer = FallbackLayer::new()
        .respond_if(move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            None::<&str>
        })
        .at_most(1)
        .build()
        .unwrap();
    for _ in 0..3 {
        layer.layer(down()).oneshot(1).await.unwrap_err();
    }
    assert_eq!(passed_on.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn finally_answers_whatever_is_left_and_never_fails() {
    let layer = FallbackLayer::new()
        .on_error(|error| !error.is::<Broken>())
        .respond(|_, _| "step".to_owned())
        .finally(|_, cause| format!("finally: {}", cause.error().unwrap()));
    let answer: Result<String, std::convert::Infallible> = layer.layer(down()).oneshot(1).await;
    assert_eq!(
        answer.unwrap(),
        "finally: down",
        "also errors that the steps were not asked for"
    );
    let answer = layer.layer(failing(support::refused)).oneshot(1).await;
    assert_eq!(answer.unwrap(), "step");
}

#[tokio::test]
async fn finally_replaces_a_failed_response_and_or_else_leaves_it() {
    let replaced = FallbackLayer::new()
        .on_response(|answer| *answer == "bad")
        .finally(|_, _| "good");
    assert_eq!(replaced.layer(Script::new([Ok("bad")])).oneshot(1).await, Ok("good"));
    let left = FallbackLayer::new()
        .on_response(|answer| *answer == "bad")
        .or_else(|_, _| "good");
    assert_eq!(left.layer(Script::new([Ok("bad")])).oneshot(1).await, Ok("bad"));
    assert_eq!(left.layer(down()).oneshot(1).await, Ok("good"));
}

#[tokio::test]
async fn a_step_of_ones_own_holds_learns_and_answers() {
    /// Answers with the longest answer it ever saw, and only those who are owed one.
    #[derive(Clone)]
    struct Longest(Arc<std::sync::Mutex<String>>);

    impl<Kept> Step<u32, String, Kept> for Longest {
        const LEARNS: bool = true;
        type Held = u32;
        type Future = std::future::Ready<Result<Option<String>, BoxError>>;

        fn hold(&self, request: &u32) -> u32 {
            *request
        }

        fn learn(&self, _: u32, response: String) -> String {
            let mut longest = self.0.lock().unwrap();
            if response.len() > longest.len() {
                longest.clone_from(&response);
            }
            response
        }

        fn answer(&self, held: u32, _: &Kept, _: &Cause<String>) -> Self::Future {
            std::future::ready(match held {
                0 => Err(Broken("owed nothing").into()),
                _ => Ok(Some(self.0.lock().unwrap().clone())),
            })
        }
    }

    let layer = FallbackLayer::new().step("longest", Longest(Arc::default()));
    let script = Script::new([
        Ok("a".to_owned()),
        Ok("abc".to_owned()),
        Ok("ab".to_owned()),
        Err("down"),
    ]);
    let mut service = layer.layer(script);
    for answer in ["a", "abc", "ab", "abc"] {
        assert_eq!(service.ready().await.unwrap().call(1).await.unwrap(), answer);
    }
    let error = service.ready().await.unwrap().call(0).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no fallback answered: step \"longest\": owed nothing"
    );
}

#[tokio::test]
async fn a_fallback_of_a_fallback_answers_what_the_inner_one_could_not() {
    let inner = FallbackLayer::new().respond_if(|_, _| None::<&str>);
    let outer = FallbackLayer::new().respond(|_, _| "outer");
    assert_eq!(outer.layer(inner.layer(down())).oneshot(1).await.unwrap(), "outer");
}

#[test]
fn what_cannot_work_is_refused_with_field_value_and_what_is_allowed() {
    fn said<T>(built: Result<T, fallback_layer::ConfigError>) -> String {
        match built {
            Ok(_) => panic!("it was built"),
            Err(error) => error.to_string(),
        }
    }
    let new = || FallbackLayer::<u32, u32>::new().respond(|_, _| 0).named("static");
    assert_eq!(
        said(new().at_most(0).build()),
        "fallback step \"static\": at_most = 0 is not allowed; set it to at least 1"
    );
    assert!(said(new().at_most(usize::MAX).build()).contains("at_most"));
    assert_eq!(
        said(new().within(Duration::ZERO).at_most(0).build()),
        "fallback step \"static\": within = 0ns is not allowed; set it to more than zero",
        "the first problem is named"
    );
    assert!(new().within(Duration::MAX).at_most(1).build().is_ok());

    let cached = || FallbackLayer::<u32, u32>::new().cached(|number| *number);
    assert!(said(cached().max_age(Duration::ZERO).build()).contains("max_age = 0ns"));
    assert!(said(cached().max_entries(0).build()).contains("max_entries = 0"));
    assert!(said(cached().max_weight(0, |_, _| 1).build()).contains("max_weight = 0"));
    assert!(said(cached().refresh_after(Duration::ZERO).build()).contains("refresh_after = 0ns"));
    let second = Duration::from_secs(1);
    assert!(said(cached().max_age(second).refresh_after(second * 2).build()).contains("refresh_after = 2s"));
    assert!(
        cached()
            .max_age(second)
            .refresh_after(second)
            .max_entries(1)
            .build()
            .is_ok()
    );
    assert!(said(LastGood::<u32, u32>::builder().max_entries(0).build()).contains("max_entries = 0"));
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_of_for_ever_is_none() {
    let layer = FallbackLayer::new()
        .keep(CloneRequest)
        .service(hanging())
        .within(Duration::MAX)
        .build()
        .unwrap();
    let mut call = task::spawn(layer.layer(down::<()>()).oneshot(1));
    assert_pending!(call.poll());
    tokio::time::advance(Duration::from_secs(86_400)).await;
    assert_pending!(call.poll());
}

#[tokio::test]
async fn polled_after_its_answer_a_future_panics_and_says_so() {
    let layer = FallbackLayer::new().respond(|_, _| "answer");
    let mut service = layer.layer(down());
    let mut call = task::spawn(service.ready().await.unwrap().call(1));
    assert_eq!(assert_ready!(call.poll()).unwrap(), "answer");
    let again = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call.poll().is_ready()));
    let said = again.unwrap_err();
    assert!(said.downcast_ref::<&str>().unwrap().contains("after it had answered"));
}

/// What a step may do when it is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    Answer,
    PassOn,
    Fail,
    Hang,
    NotWanted,
}

/// Does it, and calls itself by its place in the chain.
#[derive(Clone)]
struct Doing(Does, &'static str);

impl<Kept> Step<u32, &'static str, Kept> for Doing {
    type Held = ();
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Option<&'static str>, BoxError>> + Send>>;

    fn hold(&self, _: &u32) {}

    fn answer(&self, (): (), _: &Kept, _: &Cause<&'static str>) -> Self::Future {
        let Self(does, name) = self.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            match does {
                Does::Answer => Ok(Some(name)),
                Does::Fail => Err(Broken(name).into()),
                Does::Hang => std::future::pending().await,
                Does::PassOn => Ok(None),
                Does::NotWanted => panic!("it must not be reached"),
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_three_steps_do_the_first_answer_or_the_last_error_comes_out() {
    const ALL: [Does; 5] = [Does::Answer, Does::PassOn, Does::Fail, Does::Hang, Does::NotWanted];
    const NAMES: [&str; 3] = ["one", "two", "three"];
    let limit = Duration::from_secs(1);
    for number in 0..125 {
        let does = [ALL[number % 5], ALL[number / 5 % 5], ALL[number / 25]];
        let [one, two, three] = does;
        let layer = FallbackLayer::new()
            .on_response(|answer| *answer == "bad")
            .step(NAMES[0], Doing(one, NAMES[0]))
            .when(move |_, _| one != Does::NotWanted)
            .within(limit)
            .at_most(1)
            .step(NAMES[1], Doing(two, NAMES[1]))
            .when(move |_, _| two != Does::NotWanted)
            .within(limit)
            .at_most(1)
            .step(NAMES[2], Doing(three, NAMES[2]))
            .when(move |_, _| three != Does::NotWanted)
            .within(limit)
            .at_most(1)
            .build()
            .unwrap();

        let answers = does.iter().position(|does| *does == Does::Answer);
        let reached = &does[..answers.unwrap_or(3)];
        let last = reached.iter().rposition(|does| matches!(does, Does::Fail | Does::Hang));
        let hangs = reached.iter().filter(|does| **does == Does::Hang).count();

        let started = tokio::time::Instant::now();
        let by_error = layer.layer(down()).oneshot(1).await;
        assert!(started.elapsed() >= limit * u32::try_from(hangs).unwrap(), "{does:?}");
        assert!(
            started.elapsed() < limit * (u32::try_from(hangs).unwrap() + 1),
            "{does:?}"
        );
        match (answers, last, by_error) {
            (Some(at), _, answer) => assert_eq!(answer.unwrap(), NAMES[at], "{does:?}"),
            (None, None, error) => {
                assert_eq!(error.unwrap_err().downcast_ref(), Some(&Broken("down")), "{does:?}");
            }
            (None, Some(at), error) => {
                let error = error.unwrap_err();
                let found = FallbackError::find(&*error).unwrap();
                assert_eq!(
                    (found.step(), found.took_too_long()),
                    (NAMES[at], does[at] == Does::Hang),
                    "{does:?}"
                );
                assert_eq!(
                    error.source().unwrap().downcast_ref(),
                    Some(&Broken("down")),
                    "{does:?}"
                );
            }
        }
        let by_response = layer.layer(Script::new([Ok("bad")])).oneshot(1).await.unwrap();
        assert_eq!(by_response, answers.map_or("bad", |at| NAMES[at]), "{does:?}");
    }
}
