//! Who may be a peer: only who is named, by a certificate that has neither ended nor been withdrawn.

use crate::pair::{Site, count, protected};
use crate::transport::{
    Node, any_port, append, check, identities, identities_of, start, start_config,
};
use node::keys::{
    NodeKeyFiles, create_keys, create_keys_until, load_withdrawn, read_facts, renew_keys,
    withdraw_keys,
};
use node::tls::{TlsIdentity, load_identity};
use node::transport::TransportEvent;
use replication::{NodeId, Withdrawn};
use std::fs;
use std::time::{Duration, SystemTime};

/// Both ends of a dial hear why nothing comes of it.
async fn expect_refusal(dialler: &mut Node, acceptor: &mut Node, text: &str) {
    dialler.expect_refused(text).await;
    acceptor.expect_refused(text).await;
}

#[test]
fn only_named_nodes_of_the_machine_may_pair() {
    check(async {
        let keys = tempfile::tempdir().unwrap();
        let ours = identities(keys.path(), &["a", "b", "c"]);
        // The same authority issues the certificates of another machine, one of its nodes with a name that is accepted here.
        let theirs = &identities_of(keys.path(), "n", &["x"])[0];
        let mut a = start(&ours[0], 1, "m", any_port(), &[]);
        let at_a = a.transport.local_address();
        let dial = |identity: &TlsIdentity, id: u64, name: &str| {
            start_config(identity, id, |config| {
                config.peers = vec![at_a.into()];
                config.hello.name = name.to_owned();
            })
        };
        let mut c = dial(&ours[2], 3, "c");
        expect_refusal(&mut c, &mut a, "node `c` may not pair with this one").await;
        drop(c);
        let mut liar = dial(&ours[2], 4, "b");
        expect_refusal(&mut liar, &mut a, "node `c` may not pair with this one").await;
        drop(liar);
        let mut liar = dial(&ours[1], 5, "a");
        let text = "it calls itself `a`, and its certificate is node `b`'s";
        expect_refusal(&mut liar, &mut a, text).await;
        drop(liar);
        let mut x = dial(theirs, 6, "b");
        let text = "certificate is for node `x` of machine `n`, and this node is of machine `m`";
        expect_refusal(&mut x, &mut a, text).await;
        drop(x);
        // The dialler looks, too.
        let mut picky = start_config(&ours[1], 7, |config| {
            config.peers = vec![at_a.into()];
            config.accepts = vec!["c".to_owned()];
        });
        expect_refusal(&mut picky, &mut a, "node `a` may not pair with this one").await;
        drop(picky);
        // The protocol knows nodes by their identity: that is no more another's to take than the name.
        let mut thief = start_config(&ours[1], 9, |config| {
            config.peers = vec![at_a.into()];
            config.hello.node = NodeId::of_process(9, "c");
        });
        let text = "its certificate is of node b, and the identity that it claims of another";
        a.expect_refused(text).await;
        thief.expect_refused("claims of another").await;
        drop(thief);
        assert_eq!(a.transport.counters().refused, 6);
        let mut b = dial(&ours[1], 8, "b");
        assert_eq!(b.expect_connected().await, a.id);
        assert_eq!(a.expect_connected().await, b.id);
    });
}

#[test]
fn a_withdrawn_certificate_ends_its_connection_and_makes_no_other() {
    check(async {
        let keys = tempfile::tempdir().unwrap();
        let ours = identities(keys.path(), &["a", "b"]);
        let mut a = start(&ours[0], 1, "m", any_port(), &[]);
        let at_a = a.transport.local_address();
        let mut b = start(&ours[1], 2, "m", any_port(), &[at_a]);
        a.expect_connected().await;
        b.expect_connected().await;
        let files = NodeKeyFiles::in_directory(keys.path(), "a");
        assert_eq!(
            a.transport
                .reloader()
                .reload(&load_identity(&files).unwrap()),
            0
        );
        withdraw_keys(keys.path(), "b", None).unwrap();
        assert_eq!(
            a.transport
                .reloader()
                .reload(&load_identity(&files).unwrap()),
            1
        );
        let left = |event: TransportEvent| match event {
            TransportEvent::Disconnected { cause, .. } => cause,
            other => panic!("expected the end, got {other:?}"),
        };
        left(a.next().await);
        let cause = left(b.next().await);
        assert!(cause.contains("your certificate was withdrawn"), "{cause}");
        let text = "the certificate of node `b` was withdrawn";
        expect_refusal(&mut b, &mut a, text).await;
        drop(b);
        // Its name is good again with a new key.
        create_keys(keys.path(), "m", &["b".to_owned()]).unwrap();
        let new = load_identity(&NodeKeyFiles::in_directory(keys.path(), "b")).unwrap();
        let mut b = start(&new, 3, "m", any_port(), &[at_a]);
        b.expect_connected().await;
        assert_eq!(a.expect_connected().await, b.id);
    });
}

#[test]
fn an_expired_certificate_keeps_its_connection_and_makes_no_other_until_it_is_renewed() {
    check(async {
        let keys = tempfile::tempdir().unwrap();
        let a = create_keys(keys.path(), "m", &["a".to_owned()]).unwrap();
        // Enough for a connection, even on a busy host.
        let ends = SystemTime::now() + Duration::from_secs(4);
        let b = create_keys_until(keys.path(), "m", &["b".to_owned()], ends).unwrap();
        let ours = load_identity(&a[0]).unwrap();
        let short = load_identity(&b[0]).unwrap();
        let mut a = start(&ours, 1, "m", any_port(), &[]);
        let at_a = a.transport.local_address();
        let mut b = start(&short, 2, "m", any_port(), &[at_a]);
        a.expect_connected().await;
        b.expect_connected().await;
        let ends = read_facts(&keys.path().join("b.pem")).unwrap().ends;
        while let Ok(left) = ends.duration_since(SystemTime::now()) {
            tokio::time::sleep(left.max(Duration::from_millis(1))).await;
        }
        // TLS counts in whole seconds.
        tokio::time::sleep(Duration::from_secs(1)).await;
        a.transport.send(b.id, append(1, 1));
        assert!(matches!(b.next().await, TransportEvent::Message { .. }));
        let mut again = start(&short, 3, "m", any_port(), &[at_a]);
        expect_refusal(&mut again, &mut a, "certificate has expired").await;
        drop(again);
        let message = format!(
            "{:#}",
            load_identity(&NodeKeyFiles::in_directory(keys.path(), "b")).unwrap_err()
        );
        assert!(message.contains("has expired"), "{message}");
        b.transport.close("restart").await;
        assert!(matches!(
            a.next().await,
            TransportEvent::Disconnected { .. }
        ));
        let renewed = renew_keys(
            keys.path(),
            "b",
            SystemTime::now() + Duration::from_secs(600),
        )
        .unwrap();
        let mut b = start(
            &load_identity(&renewed).unwrap(),
            4,
            "m",
            any_port(),
            &[at_a],
        );
        b.expect_connected().await;
        assert_eq!(a.expect_connected().await, b.id);
    });
}

#[test]
fn a_running_pair_takes_renewed_certificates_and_a_list_of_withdrawn_ones() {
    let site = Site::new(15);
    let (a, b) = site.start_pair();
    let keys = site.directory.path().join("keys");
    assert!(a.status().unwrap().certificate_days_left >= 728);
    renew_keys(
        &keys,
        "a",
        SystemTime::now() + Duration::from_secs(86_400 * 20),
    )
    .unwrap();
    a.signal("-HUP");
    a.wait("renewed", |status| status.certificate_days_left == 19);
    assert!(
        a.log().contains("certificate ends in 19 days"),
        "{}",
        a.log()
    );
    // A list that nobody can read changes nothing.
    let list = keys.join("withdrawn.txt");
    fs::write(&list, "nonsense").unwrap();
    a.signal("-HUP");
    a.wait("warned", |_| {
        a.log().contains("the certificates stay as they were")
    });
    assert_eq!(a.status().unwrap().flag, Some(0));
    count(&mut a.console(), 1);
    fs::remove_file(&list).unwrap();
    withdraw_keys(&keys, "b", None).unwrap();
    assert_ne!(load_withdrawn(&list).unwrap(), Withdrawn::default());
    a.signal("-HUP");
    a.wait("alone", |status| status.flag == Some(1));
    drop(b);
    create_keys(&keys, "counter", &["b".to_owned()]).unwrap();
    let b = site.start("b");
    protected(&a, &b);
}
