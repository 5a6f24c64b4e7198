//! The default guest, built of real packages and booted by QEMU: what goes wrong here is wrong with the
//! image, and not with Futago's machine.

mod qemu;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use guest::{Network, Options};

/// A build takes as long as the mirror takes, unless `cargo xtask setup` has filled the cache.
fn image() -> guest::Image {
    let cache = guest::default_cache().expect("the user has a home");
    guest::build(&Options::new(cache), &mut |_| {}).expect("the guest can be built")
}

#[test]
fn the_second_build_is_the_first() {
    let first = image();
    let second = image();
    assert!(second.cached);
    assert_eq!(first.manifest, second.manifest);
    let packages = first.manifest.packages;
    for name in ["linux-image-", "busybox-static=", "redis-server=", "libc6="] {
        assert!(packages.iter().any(|p| p.starts_with(name)), "{packages:?}");
    }
}

#[test]
fn it_boots_serves_redis_and_answers_on_its_console() {
    let network = Network::Static {
        address: [10, 0, 2, 15].into(),
        prefix: 24,
        gateway: Some([10, 0, 2, 2].into()),
    };
    let mut machine = qemu::Qemu::start(&image(), &guest::command_line(network, true));
    machine.expect(guest::READY);

    let mut redis = TcpStream::connect(machine.redis()).unwrap();
    redis
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let mut replies = BufReader::new(redis.try_clone().unwrap()).lines();
    for count in 1..=100 {
        redis.write_all(b"INCR counter\r\n").unwrap();
        assert_eq!(replies.next().unwrap().unwrap(), format!(":{count}"));
    }

    machine.type_line("echo answer-$((6 * 7))");
    machine.expect("answer-42");
    machine.type_line("cat /sys/class/misc/hw_random/rng_current");
    machine.expect("virtio_rng");
    machine.type_line("exit");
    machine.type_line("echo another-$((6 * 7))");
    machine.expect("another-42");
    machine.type_line("poweroff -f");
    machine.wait_for_end();
}

#[test]
fn it_takes_an_address_by_dhcp() {
    let mut machine = qemu::Qemu::start(&image(), &guest::command_line(Network::Dhcp, false));
    machine.expect(guest::READY);
    machine.type_line("ip route; ping -c 1 10.0.2.2 > /dev/null && echo reached-$((6 * 7))");
    machine.expect("default via 10.0.2.2");
    machine.expect("reached-42");
    machine.type_line("poweroff -f");
    machine.wait_for_end();
}

#[test]
fn a_wrong_address_is_told() {
    let line = "console=ttyS0 quiet futago.ip=300.1.2.3/24";
    let mut machine = qemu::Qemu::start(&image(), line);
    machine.expect(guest::FAILED);
    machine.type_line("echo still-$((6 * 7))");
    machine.expect("still-42");
    machine.type_line("poweroff -f");
    machine.wait_for_end();
}
