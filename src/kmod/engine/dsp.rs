// SPDX-License-Identifier: GPL-2.0

//! One DSP: a channel, context banks, and the sessions on them.
//!
//! A DSP is built when its channel is bound and marked dead when it is unbound. Open files keep it
//! beyond that; they find that every call answers [`CallError::Gone`].
//!
//! # Who owns what
//!
//! A session owns its memory and its seat; the registry of the DSP and the client own the session.
//! A session holds a reference to its DSP and the other way round. [`Dsp::forget`], called when
//! the session ends, and [`Dsp::shut_down`] break that circle.
//!
//! A session whose release the DSP did not confirm is *quarantined*: it stays in the registry with
//! all its memory and its seat until the channel is gone.
//!
//! # Locking
//!
//! One mutex around the registry. See [`crate::engine`] for the order.

use crate::{
    engine::{
        account::{
            Limits,
            Total, //
        },
        bank::{
            BankSpec,
            Banks, //
        },
        channel::Channel,
        error::{
            CallError,
            CallResult, //
        },
        refusals::Refusals,
        session::Session, //
    },
    proto::{
        addr::Addressing,
        domain::Domain,
        wire::ClientId, //
    },
    sys::rpmsg::Link, //
};
use core::mem;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// What a DSP is made from.
pub(crate) struct DspSpec {
    /// Which DSP it is.
    pub(crate) domain: Domain,
    /// How it addresses memory.
    pub(crate) addressing: Addressing,
    /// Whether the device tree says that everybody is trusted (`qcom,non-secure-domain`).
    pub(crate) trusts_everybody: bool,
    /// What clients may have.
    pub(crate) limits: Limits,
    /// Its context banks, at least one.
    pub(crate) banks: KVec<BankSpec>,
}

/// What sessions hold.
#[derive(Default)]
pub(crate) struct Holdings {
    /// Buffers in banks.
    pub(crate) mappings: usize,
    /// Mappings that stay in a process.
    pub(crate) remote_maps: usize,
    /// Buffers behind handles that the DSP has.
    pub(crate) held: usize,
    /// Bytes that the kernel provides for heaps of processes.
    pub(crate) heap_bytes: u64,
}

struct Registry {
    /// Sessions that live, and those in quarantine.
    sessions: KVec<Arc<Session>>,
    quarantined: usize,
    next_client: i32,
    closed: bool,
}

/// One DSP.
#[pin_data]
pub(crate) struct Dsp {
    domain: Domain,
    addressing: Addressing,
    trusts_everybody: bool,
    limits: Limits,
    total: Arc<Total>,
    #[pin]
    refusals: Refusals,
    #[pin]
    channel: Channel,
    #[pin]
    registry: Mutex<Registry>,
    // Sessions hold seats on them; the registry is dropped first.
    banks: Arc<Banks>,
}

impl Dsp {
    /// Builds a DSP. Nothing is sent to it.
    pub(crate) fn new(spec: DspSpec, link: Arc<Link>) -> Result<Arc<Self>> {
        let banks = Arc::pin_init(Banks::new(spec.banks), GFP_KERNEL)?;
        Arc::pin_init(
            try_pin_init!(Self {
                domain: spec.domain,
                addressing: spec.addressing,
                trusts_everybody: spec.trusts_everybody,
                total: Total::new(spec.limits)?,
                limits: spec.limits,
                refusals <- Refusals::new(),
                channel <- Channel::new(link),
                registry <- new_mutex!(
                    Registry {
                        sessions: KVec::new(),
                        quarantined: 0,
                        next_client: 1,
                        closed: false,
                    },
                    "qda_registry"
                ),
                banks,
            }),
            GFP_KERNEL,
        )
    }

    /// Which DSP it is.
    pub(crate) fn domain(&self) -> Domain {
        self.domain
    }

    /// How it addresses memory.
    pub(crate) fn addressing(&self) -> Addressing {
        self.addressing
    }

    /// Whether every opener is trusted.
    pub(crate) fn trusts_everybody(&self) -> bool {
        self.trusts_everybody
    }

    /// What clients may have.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The bytes of all buffers that were made here.
    pub(crate) fn total(&self) -> &Arc<Total> {
        &self.total
    }

    /// What was refused to its clients.
    pub(crate) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Its outstanding calls.
    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Its context banks.
    pub(crate) fn banks(&self) -> &Arc<Banks> {
        &self.banks
    }

    /// Number of sessions, those in quarantine included.
    pub(crate) fn sessions(&self) -> usize {
        self.registry.lock().sessions.len()
    }

    /// What all sessions together hold, those in quarantine included.
    pub(crate) fn holdings(&self) -> Holdings {
        let start = Holdings {
            // What is being unmapped still counts, and belongs to no session any more.
            mappings: self.banks.mapped(),
            ..Holdings::default()
        };
        let registry = self.registry.lock();
        registry.sessions.iter().fold(start, |sum, session| {
            let maps = session.remote_maps();
            Holdings {
                mappings: sum.mappings,
                remote_maps: sum.remote_maps.saturating_add(maps.len()),
                held: sum.held.saturating_add(session.parked().kept().len()),
                heap_bytes: sum.heap_bytes.saturating_add(maps.provided()),
            }
        })
    }

    /// Number of sessions whose release the DSP did not confirm.
    pub(crate) fn quarantined(&self) -> usize {
        self.registry.lock().quarantined
    }

    /// Makes a session under a client id that nobody has, and enters it.
    ///
    /// Ids are used in turn, so that one rests as long as possible before it is used again.
    pub(crate) fn enroll(
        &self,
        make: impl FnOnce(ClientId) -> CallResult<Arc<Session>>,
    ) -> CallResult<Arc<Session>> {
        let mut registry = self.registry.lock();
        if registry.closed {
            return Err(CallError::Gone);
        }
        registry.sessions.reserve(1, GFP_KERNEL)?;
        let id = registry.pick_id().ok_or(CallError::Invalid)?;
        let session = make(id)?;
        registry.sessions.push(session.clone(), GFP_KERNEL)?;
        Ok(session)
    }

    /// Takes a session out of the registry. Its last reference frees its memory and its seat.
    pub(crate) fn forget(&self, session: &Session) {
        let mut registry = self.registry.lock();
        let taken = registry
            .find(session)
            .and_then(|place| registry.sessions.remove(place).ok());
        drop(registry);
        // Outside of the lock: it may be the last reference.
        drop(taken);
    }

    /// Counts a session that stays in the registry because the DSP may still run its process.
    pub(crate) fn quarantine(&self, session: &Session) {
        let mut registry = self.registry.lock();
        // If the channel has gone meanwhile, nobody keeps it any more.
        if registry.find(session).is_some() {
            registry.quarantined = registry.quarantined.saturating_add(1);
        }
    }

    /// Wakes all callers and lets nobody begin anything new.
    pub(crate) fn mark_dead(&self) {
        self.registry.lock().closed = true;
        self.channel.close();
    }

    /// Ends all sessions and gives back the banks. The device must have no nodes any more.
    ///
    /// Waits for the DSP to release its processes. It may be dead already, so the first one that it
    /// does not answer for within a second is the last one that is waited for.
    pub(crate) fn shut_down(&self) {
        self.mark_dead();
        let sessions = mem::take(&mut self.registry.lock().sessions);

        let mut answering = true;
        for session in &sessions {
            if answering {
                answering = session.release_quickly();
            }
        }
        self.channel.kill();
        for session in &sessions {
            session.revoke();
        }
        drop(sessions);
        self.registry.lock().quarantined = 0;
        self.banks.remove();
    }
}

impl Registry {
    fn find(&self, session: &Session) -> Option<usize> {
        self.sessions
            .iter()
            .position(|other| core::ptr::eq(&**other, session))
    }

    /// Picks the next client id that no session has.
    fn pick_id(&mut self) -> Option<ClientId> {
        // One more attempt than there are ids in use must find a free one.
        for _ in 0..=self.sessions.len() {
            let id = ClientId::new(self.next_client)?;
            self.next_client = self.next_client.checked_add(1).unwrap_or(1);
            if self.sessions.iter().all(|session| session.client() != id) {
                return Some(id);
            }
        }
        None
    }
}
