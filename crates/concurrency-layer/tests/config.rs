//! Bad configuration: an error that names the field, its value and what is allowed, and never a panic.

use std::time::Duration;

use concurrency_layer::{BuildError, Limit, LimitBuilder};

const WAIT: Duration = Duration::from_secs(2);

fn refused(builder: LimitBuilder) -> BuildError {
    builder.name("openai").build().unwrap_err()
}

#[test]
fn a_limit_of_nothing_or_of_more_than_the_word_holds_is_an_error() {
    for limit in [0, 1 << 23, u32::MAX] {
        let error = refused(Limit::fixed(limit));
        assert_eq!(
            error.to_string(),
            format!(r#"limit "openai": limit = {limit} is not allowed; set it to 1 to 8388607"#)
        );
        assert_eq!(
            (error.limit_name(), error.field(), error.value()),
            ("openai", "limit", &*limit.to_string())
        );
    }
    assert!(Limit::fixed(1).build().is_ok());
    assert!(Limit::fixed((1 << 23) - 1).build().is_ok());
}

#[test]
fn a_queue_of_nobody_or_of_no_time_is_an_error() {
    assert_eq!(
        refused(Limit::fixed(1).queue(0, WAIT)).to_string(),
        r#"limit "openai": max_waiting = 0 is not allowed; set it to 1 to 8388607, or leave the queue out to refuse at once"#
    );
    assert_eq!(
        refused(Limit::fixed(1).queue(1, Duration::ZERO)).to_string(),
        r#"limit "openai": max_wait = 0ns is not allowed; set it to more than zero, or leave the queue out to refuse at once"#
    );
    assert_eq!(refused(Limit::fixed(1).queue(u32::MAX, WAIT)).field(), "max_waiting");
    assert!(Limit::fixed(1).queue(1, Duration::MAX).build().is_ok());
    assert!(Limit::fixed(1).queue(1, Duration::from_nanos(1)).build().is_ok());
}

#[test]
fn what_contradicts_itself_is_an_error() {
    for (builder, field) in [
        (Limit::fixed(1).queue(1, WAIT).backpressure(), "backpressure"),
        (Limit::fixed(1).lifo(), "lifo"),
        (Limit::fixed(1).lifo().backpressure(), "lifo"),
        (Limit::fixed(1).retry_after(Duration::ZERO), "retry_after"),
    ] {
        assert_eq!(refused(builder).field(), field);
    }
    let dismissed = Limit::fixed(1).dismiss_when(std::future::pending).build().unwrap_err();
    assert_eq!(dismissed.field(), "dismiss_when");
    assert!(
        Limit::fixed(1)
            .backpressure()
            .dismiss_when(std::future::pending)
            .build()
            .is_ok()
    );
}

#[test]
fn a_name_of_nothing_or_without_end_is_an_error() {
    assert_eq!(Limit::fixed(1).name("").build().unwrap_err().field(), "name");
    let error = Limit::fixed(1).name("ä".repeat(500_000)).build().unwrap_err();
    assert_eq!((error.field(), error.value()), ("name", "1000000 bytes"));
    assert!(
        error.to_string().len() < 500,
        "what is wrong is not said at the length of what is wrong"
    );
    assert!(Limit::fixed(1).name("x".repeat(128)).build().is_ok());
}

#[cfg(feature = "serde")]
mod file {
    use concurrency_layer::{LimitBuilder, Reason};

    #[test]
    fn a_file_says_what_the_builder_says() {
        let builder: LimitBuilder = toml::from_str(
            r#"
            fixed = 3
            name = "openai"
            queue = { max_waiting = 100, max_wait = "2 s", order = "lifo" }
            retry_after = 0.5
            "#,
        )
        .unwrap();
        let written = concurrency_layer::Limit::fixed(3)
            .name("openai")
            .queue(100, super::WAIT)
            .lifo()
            .retry_after(std::time::Duration::from_millis(500));
        assert_eq!(builder, written);
        let limit = toml::from_str::<LimitBuilder>("fixed = 1").unwrap().build().unwrap();
        let _permit = limit.try_acquire().unwrap();
        assert_eq!(limit.try_acquire().unwrap_err().reason(), Reason::Full);
        assert!(
            toml::from_str::<LimitBuilder>("fixed = 1\nbackpressure = true")
                .unwrap()
                .build()
                .is_ok()
        );
    }

    #[test]
    fn what_a_file_must_not_say_is_an_error() {
        for wrong in [
            "",
            "fixed = -1",
            "fixed = \"three\"",
            "fixed = 3\nqueu = 5",
            "fixed = 3\nqueue = { max_waiting = 3 }",
            "fixed = 3\nqueue = { max_waiting = 3, max_wait = \"2 parsecs\" }",
            "fixed = 3\nqueue = { max_waiting = 3, max_wait = -2 }",
            "fixed = 3\nqueue = { max_waiting = 3, max_wait = nan }",
            "fixed = 3\nqueue = { max_waiting = 3, max_wait = 1, order = \"random\" }",
        ] {
            assert!(toml::from_str::<LimitBuilder>(wrong).is_err(), "{wrong:?}");
        }
        let zero = toml::from_str::<LimitBuilder>("fixed = 0\nname = \"openai\"")
            .unwrap()
            .build()
            .unwrap_err();
        assert_eq!(
            zero.to_string(),
            r#"limit "openai": limit = 0 is not allowed; set it to 1 to 8388607"#
        );
    }
}
