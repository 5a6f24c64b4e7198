//! The network card's cable: a thread of its own that carries frames between a stream socket and the machine.

use super::drive::HostEvent;
use crate::switch::{PortCounters, SwitchClient, SwitchEvent};
use anyhow::Context;
use crossbeam_channel::Sender;
use machine::Input;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use tokio::sync::mpsc;

/// Frames that wait for the hart; more are dropped, as on a wire.
const FRAMES_MAX: usize = 1024;

/// The way out for frames. Frames that come in are sent to the machine's event channel.
#[derive(Debug)]
pub(super) struct Cable {
    outgoing: mpsc::Sender<Vec<u8>>,
    counters: Arc<PortCounters>,
}

impl Cable {
    /// Plugs the machine's network device 0 into the socket.
    pub(super) fn plug(socket: &Path, events: Sender<HostEvent>) -> anyhow::Result<Self> {
        let (outgoing, frames) = mpsc::channel(FRAMES_MAX);
        let (connected, result) = sync_channel(1);
        let socket = socket.to_owned();
        let counters = Arc::<PortCounters>::default();
        let counted = Arc::clone(&counters);
        std::thread::Builder::new()
            .name("network".to_owned())
            .spawn(move || {
                let runtime = match tokio::runtime::Builder::new_current_thread()
                    .enable_io()
                    .build()
                {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(connected.send(Err(anyhow::Error::new(error)))),
                };
                runtime.block_on(async move {
                    let (sender, incoming) = mpsc::channel(FRAMES_MAX);
                    match SwitchClient::connect(&socket, None, Arc::clone(&counted), sender) {
                        Ok(client) => {
                            // The other end waits for this answer.
                            let _ = connected.send(Ok(()));
                            carry(&client, incoming, frames, &events, &counted).await;
                        }
                        Err(error) => drop(connected.send(Err(error))),
                    }
                });
            })
            .context("cannot start the network thread")?;
        result.recv().context("the network thread ended")??;
        Ok(Self { outgoing, counters })
    }

    /// A frame that came in went nowhere.
    pub(super) fn count_dropped(&self) {
        self.counters
            .received_overflowed
            .fetch_add(1, Ordering::Relaxed);
    }

    /// Sends a frame; when the other side is too slow it is dropped.
    pub(super) fn send(&self, frame: Vec<u8>) {
        if self.outgoing.try_send(frame).is_err() {
            self.counters
                .sent_overflowed
                .fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Cable {
    /// Says what went nowhere.
    fn drop(&mut self) {
        let PortCounters {
            reserved,
            sent_overflowed,
            received_overflowed,
        } = &*self.counters;
        let [reserved, sent, received] = [reserved, sent_overflowed, received_overflowed]
            .map(|counter| counter.load(Ordering::Relaxed));
        if sent + received > 0 {
            tracing::warn!(
                sent,
                received,
                reserved,
                "frames were dropped: one side was too slow"
            );
        }
    }
}

async fn carry(
    client: &SwitchClient,
    mut incoming: mpsc::Receiver<SwitchEvent>,
    mut outgoing: mpsc::Receiver<Vec<u8>>,
    events: &Sender<HostEvent>,
    counters: &PortCounters,
) {
    loop {
        tokio::select! {
            event = incoming.recv() => match event {
                Some(SwitchEvent::Frame(frame)) => {
                    let input = Input::Frame { device: 0, frame: frame.to_vec() };
                    // Full: dropped, as on a wire.
                    if events.try_send(HostEvent::Input(input)).is_err() {
                        counters.received_overflowed.fetch_add(1, Ordering::Relaxed);
                    }
                }
                // Of a plain port nothing is asked.
                Some(SwitchEvent::Admitted) => {}
                Some(SwitchEvent::Closed(why)) => {
                    let _ = events.send(HostEvent::NetworkGone(why));
                    return;
                }
                None => return,
            },
            frame = outgoing.recv() => match frame {
                Some(frame) => client.send(&frame),
                None => return,
            },
        }
    }
}
