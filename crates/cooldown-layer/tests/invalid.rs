//! What a setting that is not allowed is answered with.

use std::time::Duration;

use cooldown_layer::{Action, Budget, Cooldown, CooldownBuilder, Freeze, Scope, TrackRecord};

fn repairs() -> CooldownBuilder {
    Cooldown::builder("repairs")
}

fn said(builder: CooldownBuilder) -> String {
    builder.build().expect_err("not allowed").to_string()
}

#[test]
fn a_setting_that_is_not_allowed_is_named_with_its_cooldown_its_value_and_what_is_allowed() {
    let minute = Budget::of(5).per(Duration::from_secs(60));
    let names = "1 to 64 of A-Z a-z 0-9 . _ - /";
    let cases = [
        (
            Cooldown::builder("re pairs"),
            "cooldown \"re pairs\": name = \"re pairs\" is not allowed; allowed: 1 to 64 of A-Z a-z 0-9 . _ -".to_owned(),
        ),
        (
            repairs().budget(Budget::of(0)),
            "cooldown \"repairs\": budget.of = 0 is not allowed; allowed: 1 to 100000".to_owned(),
        ),
        (
            repairs().budget(Budget::of(5).per(Duration::ZERO)),
            "cooldown \"repairs\": budget.per = 0ns is not allowed; allowed: 1 ms to 35 days".to_owned(),
        ),
        (
            repairs().budget(minute.clone().when_spent(Freeze::For(Duration::ZERO))),
            "cooldown \"repairs\": budget.when_spent = 0ns is not allowed; allowed: 1 ms to 365 days".to_owned(),
        ),
        (
            repairs().budget(minute.clone().kind("")),
            "cooldown \"repairs\": budget.kind = \"\" is not allowed; allowed: 1 to 128 bytes without control characters"
                .to_owned(),
        ),
        (
            repairs().budget(minute.clone().over(Scope::Target("a\nb".into()))),
            "cooldown \"repairs\": budget.target = \"a\\u{a}b\" is not allowed; \
             allowed: 1 to 1024 bytes without control characters"
                .to_owned(),
        ),
        (
            repairs().budget(minute.clone().each_label("")),
            format!("cooldown \"repairs\": budget.each_label = \"\" is not allowed; allowed: {names}"),
        ),
        (
            repairs().budget(minute.label("name space", "x")),
            format!("cooldown \"repairs\": budget.label = \"name space\" is not allowed; allowed: {names}"),
        ),
        (
            repairs().lease_time(Duration::ZERO),
            "cooldown \"repairs\": lease_time = 0ns is not allowed; allowed: 1 ms to 7 days".to_owned(),
        ),
        (
            repairs().store_timeout(Duration::from_secs(61)),
            "cooldown \"repairs\": store_timeout = 61s is not allowed; allowed: 1 ms to 1 min".to_owned(),
        ),
        (
            repairs().track_record(TrackRecord::skip_under(20.0)),
            "cooldown \"repairs\": track_record.skip_under = 20 is not allowed; \
             allowed: over 0 and up to 1, such as 0.2 for 20 %"
                .to_owned(),
        ),
        (
            repairs().protect([" "]),
            "cooldown \"repairs\": protect = \" \" is not allowed; \
             allowed: a name, a prefix or a pattern, not blank"
                .to_owned(),
        ),
        (
            repairs().protect(["kube-[a"]),
            "cooldown \"repairs\": protect = \"kube-[a\" is not allowed; allowed: a pattern that can be read; \
             in this one: unclosed character class; missing ']'"
                .to_owned(),
        ),
    ];
    for (builder, text) in cases {
        assert_eq!(said(builder), text);
    }
}

#[tokio::test]
async fn an_action_without_a_kind_or_a_target_shows_that_it_is_empty() {
    let repairs = repairs().build().expect("allowed");
    for (action, text) in [
        (
            Action::new("restart", ""),
            "action restart on \"\" refused: it names no target",
        ),
        (
            Action::new("", "deployment/api"),
            "action \"\" on deployment/api refused: kind is empty; name what is to be done",
        ),
    ] {
        assert_eq!(repairs.request(action).await.expect_err("refused").to_string(), text);
    }
}
