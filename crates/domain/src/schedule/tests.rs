use proptest::prelude::*;
use serde_json::json;

use super::*;

fn at(text: &str) -> Timestamp {
    let millis = DateTime::parse_from_rfc3339(text).expect("a date").timestamp_millis();
    Timestamp::from_millis(millis.try_into().expect("after 1970"))
}

fn cron(expr: &str, zone: &str) -> Schedule {
    Schedule::Cron { expr: expr.into(), tz: Some(zone.into()), stagger_ms: None }
}

fn times(schedule: &Schedule, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let first = schedule.next_after(from - Duration::from_millis(1));
    std::iter::successors(first, |at| schedule.next_after(*at)).take_while(|at| *at < to).collect()
}

/// The weeks in which the clocks of five zones change, as `tests/data/dst.py` computes them with Python's `zoneinfo`.
#[test]
fn jobs_follow_the_wall_clock_when_it_changes() {
    #[derive(Deserialize)]
    struct Case {
        zone: String,
        expr: String,
        from: u64,
        to: u64,
        times: Vec<u64>,
    }
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/data/dst.json")).expect("the table");
    assert!(cases.len() >= 100, "{} cases", cases.len());
    for case in cases {
        let found =
            times(&cron(&case.expr, &case.zone), Timestamp::from_secs(case.from), Timestamp::from_secs(case.to));
        let found: Vec<u64> = found.into_iter().map(Timestamp::as_secs).collect();
        assert_eq!(found, case.times, "`{}` in {} from {}", case.expr, case.zone, case.from);
    }
}

#[test]
fn expressions_are_read_as_cron_reads_them() {
    let next = |expr: &str| cron(expr, "UTC").next_after(at("2026-11-23T12:00:00Z"));
    assert_eq!(next("0 9 * * 1-5"), Some(at("2026-11-24T09:00:00Z")));
    assert_eq!(next("0 12 * * *"), Some(at("2026-11-24T12:00:00Z")));
    // Either the day of the month or the weekday.
    assert_eq!(next("0 0 13 * FRI"), Some(at("2026-11-27T00:00:00Z")));
    assert_eq!(next("0 8 L * *"), Some(at("2026-11-30T08:00:00Z")));
    assert_eq!(next("30 0 12 * * *"), Some(at("2026-11-23T12:00:30Z")));
    assert_eq!(next("@daily"), Some(at("2026-11-24T00:00:00Z")));
    assert_eq!(next("0 0 29 2 *"), Some(at("2028-02-29T00:00:00Z")));
}

#[test]
fn expressions_that_never_fire_say_so() {
    for expr in ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
        assert_eq!(cron(expr, "Europe/Berlin").check(), Ok(()));
        assert_eq!(cron(expr, "Europe/Berlin").next_after(at("2026-11-23T12:00:00Z")), None, "{expr}");
    }
    let once = Schedule::At { at: at("2026-11-23T12:00:00Z") };
    assert_eq!(once.next_after(at("2026-11-23T12:00:00Z")), None);
}

#[test]
fn bad_schedules_are_refused() {
    let expression = |expr: &str| matches!(cron(expr, "UTC").check(), Err(BadSchedule::Expression { .. }));
    for bad in ["", "x", "* * * *", "61 * * * *", "0 25 * * *", "0 0 * * 9", "0 0 0 * *", &"1,".repeat(200)] {
        assert!(expression(bad), "{bad:?}");
    }
    assert_eq!(cron("0 9 * * *", "Mars/Olympus").check(), Err(BadSchedule::Zone("Mars/Olympus".into())));
    for often in ["* * * * * *", "*/10 * * * * *", "0,30 * * * * *"] {
        assert_eq!(cron(often, "UTC").check(), Err(BadSchedule::TooOften), "{often}");
    }
    assert_eq!(Schedule::Every { every_ms: 59_999, anchor_ms: None }.check(), Err(BadSchedule::TooOften));
    let wide = Schedule::Cron { expr: "0 * * * *".into(), tz: None, stagger_ms: Some(86_400_001) };
    assert_eq!(wide.check(), Err(BadSchedule::TooWide));
}

#[test]
fn schedules_are_written_in_openclaws_words() {
    for json in [
        json!({ "kind": "at", "at": "2026-11-22T13:32:33.665Z" }),
        json!({ "kind": "every", "everyMs": 3_600_000, "anchorMs": 1_795_347_156_684_u64 }),
        json!({ "kind": "cron", "expr": "0 9 * * 1-5", "tz": "Europe/Berlin", "staggerMs": 0 }),
    ] {
        let schedule: Schedule = serde_json::from_value(json.clone()).expect("a schedule");
        assert_eq!(serde_json::to_value(schedule).expect("JSON"), json);
    }
    let read = |at| serde_json::from_value::<Schedule>(json!({ "kind": "at", "at": at })).ok();
    let noon = Some(Schedule::At { at: at("2026-11-22T12:00:00Z") });
    assert_eq!(read(json!("2026-11-22T13:00:00+01:00")), noon);
    assert_eq!(read(json!("2026-11-22T12:00")), noon);
    assert_eq!(read(json!(1_795_348_800_000_u64)), noon);
    for bad in [json!("tomorrow"), json!("1969-01-01T00:00:00Z"), json!(-1), json!(u64::MAX), json!(null)] {
        assert_eq!(read(bad.clone()), None, "{bad}");
    }
}

#[test]
fn jobs_at_the_top_of_the_hour_are_spread() {
    let job = |n| JobId::from_parts(Timestamp::default(), n);
    let hourly = cron("0 * * * *", "UTC");
    let staggers: std::collections::BTreeSet<Duration> = (0..50).map(|n| hourly.stagger(job(n))).collect();
    assert!(staggers.len() > 40 && staggers.iter().all(|stagger| *stagger < TOP_OF_HOUR_STAGGER));
    assert_eq!(hourly.stagger(job(1)), hourly.stagger(job(1)));
    for exact in ["0 9 * * *", "30 * * * *", "0 9,10 * * *"] {
        assert_eq!(cron(exact, "UTC").stagger(job(1)), Duration::ZERO, "{exact}");
    }
    let exact = Schedule::Cron { expr: "0 * * * *".into(), tz: None, stagger_ms: Some(0) };
    assert_eq!(exact.stagger(job(1)), Duration::ZERO);
}

proptest! {
    #[test]
    fn intervals_are_counted_from_their_anchor(every in 60_000u64..1_000_000_000, anchor in 0u64..2_000_000_000_000, after in 0u64..2_000_000_000_000) {
        let schedule = Schedule::Every { every_ms: every, anchor_ms: Some(anchor) };
        let next = schedule.next_after(Timestamp::from_millis(after)).expect("a time").as_millis();
        prop_assert!(next >= anchor && (next - anchor).is_multiple_of(every));
        let is_next = if after < anchor { next == anchor } else { next > after && next - after <= every };
        prop_assert!(is_next);
    }

    #[test]
    fn no_text_breaks_a_schedule(expr in "\\PC{0,40}", fields in "[0-9*/,LW#?@A-Z-]{1,6}( [0-9*/,LW#?@A-Z-]{1,6}){4}", after: u64) {
        for expr in [expr, fields] {
            let schedule = cron(&expr, "America/New_York");
            // Searching for a day that does not exist takes long.
            if schedule.check().is_ok() && fastest(&expr) {
                schedule.next_after(Timestamp::from_millis(after));
            }
        }
    }
}

/// Whether an expression fires on some day of each year, so that the search for it is short.
fn fastest(expr: &str) -> bool {
    expr.split_whitespace().filter(|field| *field == "*").count() >= 2
}
