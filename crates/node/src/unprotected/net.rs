//! The network card's cable: a thread of its own that carries frames between a stream socket and the machine.

use super::event::HostEvent;
use crate::switch::{PortCounters, SwitchClient, SwitchEvent};
use anyhow::Context;
use crossbeam_channel::Sender;
use machine::Input;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Frames that wait for the hart; more are dropped, as on a wire.
const FRAMES_MAX: usize = 1024;
/// A network that was lost is connected anew after so long,
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// and after up to so long if it is lost again
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// within this time.
const LIFE_MIN: Duration = Duration::from_secs(5);

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
                    .enable_all()
                    .build()
                {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(connected.send(Err(anyhow::Error::new(error)))),
                };
                runtime.block_on(async move {
                    let mut frames = frames;
                    let connect = || {
                        let (sender, incoming) = mpsc::channel(FRAMES_MAX);
                        SwitchClient::connect(&socket, None, Arc::clone(&counted), sender)
                            .map(|client| (client, incoming))
                    };
                    // The other end waits for this answer.
                    let (mut client, mut incoming) = match connect() {
                        Ok(made) => made,
                        Err(error) => return drop(connected.send(Err(error))),
                    };
                    let _ = connected.send(Ok(()));
                    let (mut since, mut pause) = (Instant::now(), PAUSE_MIN);
                    while let Some(why) =
                        carry(&client, incoming, &mut frames, &events, &counted).await
                    {
                        if events.send(HostEvent::NetworkGone(why)).is_err() {
                            return;
                        }
                        // A switch that turns it away each time is asked, and told of, less and less often.
                        pause = match since.elapsed() < LIFE_MIN {
                            true => (pause * 2).min(PAUSE_MAX),
                            false => PAUSE_MIN,
                        };
                        (client, incoming) = loop {
                            tokio::time::sleep(pause).await;
                            // What the guest says meanwhile goes nowhere, as on a cable that was pulled out.
                            while frames.try_recv().is_ok() {}
                            if frames.is_closed() {
                                return;
                            }
                            if let Ok(made) = connect() {
                                break made;
                            }
                        };
                        since = Instant::now();
                        if events.send(HostEvent::NetworkBack).is_err() {
                            return;
                        }
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

/// Carries frames until the network is lost: why. None once the machine has ended.
async fn carry(
    client: &SwitchClient,
    mut incoming: mpsc::Receiver<SwitchEvent>,
    outgoing: &mut mpsc::Receiver<Vec<u8>>,
    events: &Sender<HostEvent>,
    counters: &PortCounters,
) -> Option<String> {
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
                Some(SwitchEvent::Closed(why)) => return Some(why),
                None => return Some("its connection ended".to_owned()),
            },
            frame = outgoing.recv() => match frame {
                Some(frame) => client.send(&frame),
                None => return None,
            },
        }
    }
}
