//! What a perfect pair would reach on this host: two guests that run freely side by side show how its processors differ.

use anyhow::Result;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bench::site::Site;

/// The lag that a pair may have under load.
const LAG: Duration = Duration::from_millis(100);
/// How long two guests run freely, and how often they are asked where they are.
const WINDOW: Duration = Duration::from_secs(20);
const SAMPLE: Duration = Duration::from_millis(50);

/// Guest speed in a pair, to that of a guest alone, if nothing but the slower processor held it up. Both guests are
/// busy; the mean of both choices of a primary.
pub(super) fn measure(sites: &[Site; 2]) -> Result<f64> {
    let ask =
        || -> Result<[u64; 2]> { Ok([sites[0].status(0)?.position, sites[1].status(0)?.position]) };
    let (begin, mut before) = (Instant::now(), ask()?);
    let mut stretches = Vec::new();
    while begin.elapsed() < WINDOW {
        sleep(SAMPLE);
        let now = ask()?;
        stretches.push([now[0] - before[0], now[1] - before[1]]);
        before = now;
    }
    let seconds = begin.elapsed().as_secs_f64();
    Ok((kept(&stretches, 0, seconds) * kept(&stretches, 1, seconds)).sqrt())
}

/// The part of what `primary` executed that it would have executed, had it waited for the other one. `stretches` are
/// the positions that both executed in a while.
fn kept(stretches: &[[u64; 2]], primary: usize, seconds: f64) -> f64 {
    let freely: f64 = stretches.iter().map(|both| both[primary] as f64).sum();
    let lag_max = freely / seconds * LAG.as_secs_f64();
    let (mut first, mut second) = (0.0, 0.0);
    for stretch in stretches {
        let [own, other] = [stretch[primary], stretch[1 - primary]].map(|amount| amount as f64);
        let (reachable, followed) = (first + own, second + other);
        first = f64::min(reachable, followed + lag_max);
        second = f64::min(followed, first);
    }
    first / freely
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept_of(stretches: &[[u64; 2]]) -> f64 {
        // As if each took a tenth of a second: the lag is one mean stretch.
        kept(stretches, 0, stretches.len() as f64 / 10.0)
    }

    #[test]
    fn a_pair_goes_at_the_speed_of_its_slower_half() {
        assert_eq!(kept_of(&[[100, 100]; 50]), 1.0);
        assert_eq!(kept_of(&[[100, 200]; 50]), 1.0);
        let slower = kept_of(&[[100, 50]; 50]);
        assert!((0.5..0.53).contains(&slower), "{slower}");
    }

    #[test]
    fn lag_makes_up_for_what_is_short() {
        assert_eq!(kept_of(&[[100, 50], [100, 150]].repeat(25)), 1.0);
        let long = [[[100, 0]; 10], [[100, 200]; 10]].concat();
        assert!(kept_of(&long) < 0.7);
    }
}
