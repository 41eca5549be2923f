use super::*;

fn watch(max_age: Option<u64>) -> Watch {
    Watch::new(Memory::new("sum.test", 1000, 0), max_age)
}

fn head(served: u64, latest: u64) -> Outcome {
    Outcome::Head { served, latest }
}

fn bad(kind: Kind) -> Outcome {
    Outcome::Bad { kind, text: "because".to_owned(), evidence: None }
}

fn kinds(alerts: &[Alert]) -> Vec<Kind> {
    alerts.iter().map(|alert| alert.kind).collect()
}

/// The alerts of one place that answers this in order, with what each came of.
fn story(outcomes: &[Outcome]) -> Vec<(usize, Kind)> {
    let mut watch = watch(None);
    let mut told = Vec::new();
    for (i, outcome) in outcomes.iter().enumerate() {
        let alerts = watch.take(1000 + i as u64, "here", outcome.clone());
        told.extend(kinds(&alerts).into_iter().map(|kind| (i, kind)));
    }
    told
}

#[test]
fn growth_is_no_news() {
    assert_eq!(story(&[head(0, 0), head(5, 5), head(5, 5), head(900, 900)]), []);
}

#[test]
fn a_rollback_is_told_once_and_its_end_too() {
    let rolled = [head(9, 9), head(5, 9), head(5, 9), head(7, 9), head(9, 9), head(8, 9)];
    assert_eq!(story(&rolled), [(1, Kind::Rollback), (4, Kind::Recovered), (5, Kind::Rollback)]);
}

#[test]
fn a_place_that_was_never_ahead_has_not_gone_back() {
    let mut watch = watch(None);
    assert_eq!(watch.take(1000, "ahead", head(900, 900)), []);
    assert_eq!(watch.take(1000, "behind", head(300, 900)), []);
    assert_eq!(watch.take(1001, "behind", head(301, 900)), []);
    assert_eq!(kinds(&watch.take(1002, "behind", head(300, 900))), [Kind::Rollback]);
    assert_eq!(watch.seen()["behind"].served, Some(300));
}

#[test]
fn a_silence_is_told_when_it_lasts() {
    let silent = || bad(Kind::Unreachable);
    assert_eq!(story(&[head(5, 5), silent(), silent(), head(5, 5), silent(), silent(), head(5, 5)]), []);
    let long = [silent(), silent(), silent(), silent(), head(5, 5)];
    assert_eq!(story(&long), [(2, Kind::Unreachable), (4, Kind::Recovered)]);
}

#[test]
fn what_is_worse_than_silence_is_told_at_once_and_not_ended_by_it() {
    let silent = || bad(Kind::Unreachable);
    let fork = [bad(Kind::Fork), silent(), silent(), silent(), bad(Kind::Fork), head(5, 5)];
    assert_eq!(story(&fork), [(0, Kind::Fork), (5, Kind::Recovered)]);
    let lies = [bad(Kind::Malformed), bad(Kind::Unproven), bad(Kind::Unproven), head(5, 5)];
    assert_eq!(story(&lies), [(0, Kind::Malformed), (1, Kind::Unproven), (3, Kind::Recovered)]);
}

#[test]
fn a_stall_is_told_once_until_the_log_grows() {
    let mut watch = watch(Some(60));
    watch.take(1000, "here", head(5, 5));
    assert_eq!(watch.tick(1060), None);
    watch.take(1061, "here", head(5, 5));
    let stall = watch.tick(1061).unwrap();
    assert_eq!((stall.kind, stall.text.contains("has not grown for 61 s")), (Kind::Stall, true));
    assert_eq!(watch.tick(5000), None);
    assert_eq!(watch.wrong(), [Kind::Stall]);
    assert_eq!(kinds(&watch.take(5001, "here", head(6, 6))), [Kind::Recovered]);
    assert_eq!((watch.tick(5002), watch.wrong()), (None, vec![]));
}

#[test]
fn a_stall_without_answers_says_so() {
    let mut watch = watch(Some(60));
    watch.take(1000, "here", head(5, 5));
    watch.take(1070, "here", bad(Kind::Unreachable));
    assert!(watch.tick(1070).unwrap().text.contains("no good answer for 70 s"));
}

#[test]
fn a_clock_that_is_set_back_does_not_hide_a_stall() {
    let mut watch = watch(Some(60));
    watch.take(9000, "here", head(5, 5));
    assert_eq!(watch.tick(2000), None);
    assert_eq!(watch.tick(2061).map(|alert| alert.kind), Some(Kind::Stall));
}

#[test]
fn reading_begins_once_and_never_goes_back() {
    let mut watch = watch(None);
    assert_eq!(watch.unread(), None);
    watch.take(1000, "here", head(300, 300));
    assert!(watch.begin(10));
    assert!(!watch.begin(0));
    assert_eq!(watch.unread(), Some((10, 300)));
    watch.reported(256);
    watch.reported(20);
    assert_eq!(watch.unread(), Some((256, 300)));
    watch.reported(300);
    assert_eq!(watch.unread(), None);
}

#[test]
fn undelivered_alerts_are_kept_in_order_up_to_a_limit() {
    let mut watch = watch(None);
    for i in 0..300 {
        watch.take(1000 + i, "here", if i % 2 == 0 { bad(Kind::Malformed) } else { Outcome::Good });
    }
    assert_eq!(watch.memory().undelivered.len(), MAX_UNDELIVERED);
    assert_eq!((watch.dropped(), watch.events(Kind::Malformed)), (200, 150));
    assert_eq!(watch.undelivered().unwrap().number, 0);
    watch.delivered(0);
    assert_eq!(watch.undelivered().unwrap().number, 1);
}

#[test]
fn what_was_told_before_a_restart_is_not_told_again() {
    let mut before = watch(Some(60));
    before.take(1000, "here", head(9, 9));
    before.take(1000, "here", head(5, 9));
    before.tick(1100);
    let mut after = Watch::new(before.memory().clone(), Some(60));
    assert_eq!((after.take(1101, "here", head(5, 9)), after.tick(1101)), (vec![], None));
    assert_eq!(kinds(&after.take(1102, "here", head(10, 10))), [Kind::Recovered, Kind::Recovered]);
}
