//! Generated guests in lockstep: they do what they are made for, and both ways of the interpreter agree.

use torture::kernel::Counts;
use torture::trial::Trial;

#[test]
fn generated_guests() {
    let mut sum = Counts::default();
    let mut positions = 0;
    for seed in 0..300 {
        let trial = Trial::new(seed);
        let mut lockstep = trial.start(&[]);
        match lockstep.run(trial.positions) {
            Ok(reached) => positions += reached.position,
            Err(divergence) => panic!("seed {seed}: {divergence}"),
        }
        if trial.has_kernel {
            let counts = Counts::of(lockstep.reference());
            for (all, one) in sum.exceptions.iter_mut().zip(counts.exceptions) {
                *all += one;
            }
            for (all, one) in sum.deeds.iter_mut().zip(counts.deeds) {
                *all += one;
            }
            sum.interrupts += counts.interrupts;
            sum.restarts += counts.restarts;
        }
    }
    // Each cause that such a program can bring about, and each deed of the kernel.
    for cause in [2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15] {
        assert!(sum.exceptions[cause] > 5, "cause {cause}: {sum:?}");
    }
    assert!(sum.interrupts > 1000, "{sum:?}");
    assert!(sum.deeds.iter().all(|deed| *deed > 50), "{sum:?}");
    assert!(positions > 1_000_000, "{positions}");
}
