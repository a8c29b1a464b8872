//! What befalls nodes: starts, ends, pauses.

use super::super::faults::Upheaval;
use super::super::node::Process;
use super::{Event, NODES, Power, World};

impl World {
    pub(super) fn start(&mut self, node: usize) {
        if self.nodes[node].power != Power::Off {
            return;
        }
        if self.store_is_down() {
            self.after(300, Event::Start(node));
            return;
        }
        let is_named = self.plan.is_named;
        let lease = self.store.claim(self.now, node, is_named);
        let place = &mut self.nodes[node];
        place.life += 1;
        place.power = Power::On;
        self.note(|_| format!("node {node} starts as {lease:?}"));
        let process = Process::new(self, node, lease);
        self.nodes[node].process = Some(Box::new(process));
        let up_after = self.dice.between(1, 60);
        self.after(up_after, Event::LinkUp(node));
    }

    /// A node dies: its sockets with it.
    pub(super) fn stop(&mut self, node: usize) {
        self.upset(node);
        let place = &mut self.nodes[node];
        place.power = Power::Off;
        place.life += 1;
        place.backlog.clear();
        let process = place.process.take();
        self.broker.detach(node);
        if let Some(process) = process {
            self.report.healed += process.healed();
            let keeps_bytes = self.dice.chance(500);
            for (listener, connection) in process.end(keeps_bytes) {
                let ms = self.dice.between(1, 50);
                self.after(ms, Event::Read { listener, connection });
            }
        }
    }

    /// A node that is upset anew before it could recover has been upset since the first time: one that
    /// still stands hears of what happened meanwhile only when it goes on.
    pub(in crate::simulation) fn upset(&mut self, node: usize) {
        let place = &mut self.nodes[node];
        let still_stands = place.power == Power::Paused;
        let lasts = |until: u64| still_stands || until + 20_000 >= self.now;
        let since = place.upset.filter(|(_, until)| lasts(*until)).map(|(since, _)| since);
        place.upset = Some((since.unwrap_or(self.now), self.now));
    }

    pub(super) fn resume(&mut self, node: usize) {
        let place = &mut self.nodes[node];
        if place.power != Power::Paused {
            return;
        }
        place.power = Power::On;
        place.has_missed = false;
        if let Some((_, until)) = &mut place.upset {
            *until = self.now;
        }
        let backlog = std::mem::take(&mut place.backlog);
        let life = place.life;
        self.note(|_| format!("node {node} goes on, {} wait", backlog.len()));
        for input in backlog {
            self.input(node, life, input);
        }
    }

    pub(super) fn upheaval(&mut self) {
        if self.plan.upheavals.is_empty() {
            return;
        }
        let kind = self.plan.upheavals[self.dice.pick(self.plan.upheavals.len())];
        let node = self.dice.pick(NODES);
        self.report.upheavals += 1;
        self.note(|_| format!("{kind:?} {node}"));
        match kind {
            Upheaval::Crash => {
                if self.nodes[node].power == Power::On {
                    self.stop(node);
                    let most = if self.dice.chance(300) { 30_000 } else { 4_000 };
                    let ms = self.dice.between(100, most);
                    self.after(ms, Event::Start(node));
                }
            }
            Upheaval::Pause => self.pause(node, (100, 8_000)),
            Upheaval::LongPause => self.pause(node, (15_500, 25_000)),
            Upheaval::LinkCut => self.cut_link(node, (0, 3_000), (50, 5_000)),
            Upheaval::LinkFlap => {
                for nth in 0..5 {
                    self.after(nth * 800, Event::CutLink(node));
                }
            }
            Upheaval::BrokerRestart => {
                for node in 0..NODES {
                    self.cut_link(node, (0, 300), (300, 3_000));
                }
            }
            Upheaval::StoreOutage => {
                self.store_back_at = self.now + self.dice.between(200, 4_000);
            }
            Upheaval::Cut => {
                let listener = self.dice.pick(self.listeners.len());
                self.cut(listener);
            }
            Upheaval::Stall => {
                let listener = self.dice.pick(self.listeners.len());
                self.stall(listener);
            }
        }
    }

    fn pause(&mut self, node: usize, (least, most): (u64, u64)) {
        if self.nodes[node].power == Power::On {
            self.upset(node);
            self.nodes[node].power = Power::Paused;
            let ms = self.dice.between(least, most);
            self.after(ms, Event::Resume(node));
        }
    }

    pub(super) fn calm(&mut self) {
        self.note(|_| "calm".to_owned());
        self.is_calm = true;
        self.store_back_at = self.now;
        for node in 0..NODES {
            self.resume(node);
            self.start(node);
        }
        self.after(100, Event::Check);
    }
}
