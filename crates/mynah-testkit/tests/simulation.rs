//! Simulated histories: `cargo run -p mynah-testkit --example simulate -- --seed N` replays one.

use mynah_testkit::simulation::{Report, Run, Sabotage, run};

const SEEDS: u64 = 240;
/// A planted fault must be found within so many histories.
const PATIENCE: u64 = 150;

#[test]
fn whatever_goes_wrong_nothing_is_lost_doubled_or_claimed_too_early() {
    let mut sum = Report::default();
    for seed in 0..SEEDS {
        match run(Run { seed, ..Run::default() }) {
            Ok(report) => {
                sum.stored += report.stored;
                sum.upheavals += report.upheavals;
                sum.healed += report.healed;
                sum.resyncs += report.resyncs;
            }
            Err(failure) => panic!("{failure}"),
        }
    }
    assert!(sum.stored > SEEDS * 20, "clients get on: {sum:?}");
    assert!(sum.upheavals > SEEDS, "things go wrong: {sum:?}");
    assert!(sum.healed > SEEDS && sum.resyncs > 0, "and are made good: {sum:?}");
}

#[test]
fn a_history_repeats_itself() {
    for seed in [3, 17, 90] {
        let twice = [(); 2].map(|()| run(Run { seed, ..Run::default() }).expect("it is well"));
        assert_eq!(twice[0], twice[1]);
    }
}

#[test]
fn planted_faults_are_found() {
    for sabotage in Sabotage::ALL {
        let found =
            (0..PATIENCE).find(|&seed| run(Run { seed, sabotage, ..Run::default() }).is_err());
        assert!(found.is_some(), "{sabotage:?} is not found");
    }
}
