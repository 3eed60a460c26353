//! The data of a simulated machine: the real store and the real rules on its simulated disk.

use crate::disk::{Disk, Trouble};
use crate::lan::Lan;
use crate::machine::{Event, Work};
use crate::network::M;
use std::collections::{BTreeMap, VecDeque};
use tanist::data::RequestId;
use tanist::ident::JobId;
use tanist::ledger::limits::Limits;
use tanist::protocol::{Input, Job};
use tanist::store::Worker;
use tanist::store::data::{DataStore, SetAside};

/// Bytes of the log between two checkpoints: small, so that there are many.
const SEGMENT: u64 = 16 << 10;

/// What a process has of the data.
pub(crate) struct Data {
    worker: Worker,
    /// Jobs that wait for the thread. bound: the core's own
    waiting: VecDeque<(JobId, Job)>,
    under_way: Option<UnderWay>,
    /// Readers are to see at once what is acknowledged.
    shows: bool,
    /// When they see it, if nothing else is to be done.
    shows_at: u64,
    /// Requests of users that were not answered, by the host's numbers, and when each came. bound: the users'
    asked: BTreeMap<u64, (RequestId, u64)>,
    requests: u64,
}

/// What the thread does.
struct UnderWay {
    /// What it reports at the end. bound: the core's own
    reports: Vec<Input>,
    /// The disk's mark.
    mark: u64,
    until: u64,
    /// It makes durable what was taken; otherwise it shows.
    syncs: bool,
}

impl Data {
    pub(crate) fn position(&self) -> u64 {
        self.store().position().number
    }

    pub(crate) fn store(&self) -> &DataStore {
        self.worker.store()
    }

    /// A user asks. Gives the host's number of the request.
    pub(crate) fn asks(&mut self, id: RequestId, now: u64) -> u64 {
        self.requests += 1;
        self.asked.insert(self.requests, (id, now));
        self.requests
    }

    /// A user is answered. Gives also when the request came.
    pub(crate) fn answered(&mut self, request: u64) -> (RequestId, u64) {
        self.asked.remove(&request).expect("each is answered once")
    }

    /// When the oldest request came that still waits.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.asked.values().map(|(_, at)| *at).min()
    }
}

/// Wholes of a few KiB are made in rounds, as those of some MiB are on real machines.
fn few() -> Limits {
    Limits { unfold: 4 << 10, ..Limits::default() }
}

/// The data of a disk that works.
///
/// # Errors
/// What is damaged.
pub(crate) fn open(disk: &Disk) -> Result<DataStore, SetAside> {
    let opened = DataStore::with_files(Box::new(disk.folder()), few(), SEGMENT).expect("the disk works");
    opened.set_aside.map_or(Ok(opened.store), Err)
}

impl Lan {
    /// Opens the data as the real host does: what is damaged is set aside, and nothing here may be.
    pub(crate) fn open_data(&mut self, m: M) -> Data {
        let disk = self.machines[m].disk.clone();
        let trouble = disk.trouble();
        disk.set_trouble(Trouble::None);
        let opened = DataStore::with_files(Box::new(disk.folder()), few(), SEGMENT).expect("the disk works");
        if let Some(why) = opened.set_aside {
            assert!(self.machines[m].damaged, "the data of pc-{m} did not survive a crash: {why:?}");
            self.say(m, || format!("== set aside: {why:?}"));
        }
        let opened = opened.store;
        disk.set_trouble(trouble);
        let worker = Worker::new(opened);
        Data {
            worker,
            waiting: VecDeque::new(),
            under_way: None,
            shows: false,
            shows_at: 0,
            asked: BTreeMap::new(),
            requests: 0,
        }
    }

    /// Everything on a machine's disk is read, as the agent does once a day. Whether it is what was written.
    pub(crate) fn rereads(&self, m: M) -> bool {
        let reader = self.machines[m].process.as_ref().expect("it runs").data.store().reader();
        reader.snapshot().and_then(|snapshot| snapshot.check()).is_ok()
    }

    pub(crate) fn data_job(&mut self, m: M, id: JobId, job: Job) {
        if let Job::Commit { through } = job {
            self.acknowledges(m, through);
        }
        let process = self.machines[m].process.as_mut().expect("it runs");
        process.data.waiting.push_back((id, job));
        let life = process.life;
        // The thread is woken a little later.
        let at = self.now + self.dice.below(50);
        self.plan(at, Event::Data { m, life });
    }

    /// The thread has something to do, or is done.
    pub(crate) fn data_done(&mut self, m: M, life: u64) {
        if self.life(m) != Some(life) || self.machines[m].disk.trouble() == Trouble::Stuck {
            return;
        }
        let machine = &mut self.machines[m];
        let data = &mut machine.process.as_mut().expect("it runs").data;
        if data.under_way.as_ref().is_some_and(|under_way| under_way.until > self.now) {
            return;
        }
        if let Some(done) = data.under_way.take() {
            data.shows = done.syncs && data.worker.shows_now(!data.waiting.is_empty());
            machine.disk.complete(done.mark);
            for report in done.reports {
                if self.life(m) == Some(life) {
                    self.deliver(m, Work::Input(report));
                }
            }
        }
        if self.life(m) == Some(life) {
            self.data_begins(m, life);
        }
    }

    /// The thread takes what waits: what it orders leaves at once, and the rest when the disk is done.
    fn data_begins(&mut self, m: M, life: u64) {
        let machine = &mut self.machines[m];
        let data = &mut machine.process.as_mut().expect("it runs").data;
        if data.under_way.is_some() {
            return;
        }
        let (mut at_once, mut later) = (Vec::new(), Vec::new());
        let goes_on = data.worker.goes_on(&mut at_once);
        let idle = data.waiting.is_empty();
        let shows = !goes_on && (data.shows || idle && data.worker.owes_readers() && data.shows_at <= self.now);
        if !goes_on && idle && !shows {
            return;
        }
        if shows {
            data.shows = false;
            data.worker.show(&mut later);
        } else {
            while !goes_on
                && !data.worker.owes_much()
                && let Some((id, job)) = data.waiting.pop_front()
            {
                data.worker.take(id, job, &mut at_once);
            }
            data.worker.finish(&mut later);
        }
        let mark = machine.disk.mark();
        let (low, high) = machine.sync;
        let at = self.now + self.dice.between(low, high);
        // Readers see it at once, or a little later.
        let grace = if self.dice.chance(0.5) { 0 } else { self.dice.below(300) };
        let data = &mut self.machines[m].process.as_mut().expect("it runs").data;
        data.under_way = Some(UnderWay { reports: later, mark, until: at, syncs: !shows });
        data.shows_at = at + grace;
        self.plan(at + grace, Event::Data { m, life });
        self.plan(at, Event::Data { m, life });
        for report in at_once {
            if self.life(m) == Some(life) {
                self.deliver(m, Work::Input(report));
            }
        }
    }
}
