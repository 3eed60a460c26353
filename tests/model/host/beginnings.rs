//! The states that a search begins with.

use super::*;

impl World {
    /// Three that remember one another, switched off; the first led them once, and all have shown its reign.
    fn dark(bounds: Bounds) -> Self {
        let former = Claim { epoch: 1, at: wall(0), node: Incarnation { id: id(0), boot: BootId(1 << 48) } };
        let member = |m: M| {
            let others = (0..N).filter(|n| *n != m);
            let remembered = |n: M| Remembered {
                id: id(n),
                name: format!("pc-{n}"),
                address: address(n),
                heard: wall(m),
                left: false,
            };
            let promised = Some(Promise::of(former));
            let durable = Durable { shown: Some(former), promised, members: others.map(remembered).collect() };
            Rc::new(Member {
                process: None,
                durable,
                boots: 1,
                claims: 0,
                timers: 0,
                promises: BTreeSet::from([former]),
                said: BTreeMap::new(),
                last_shown: Some(former),
                names: Names::default(),
                print: 0,
            })
        };
        Self {
            members: [member(0), member(1), member(2)],
            conns: Vec::new(),
            casts: Vec::new(),
            won: BTreeSet::new(),
            bounds,
            crashes: 0,
            breaks: 0,
            handovers: 0,
            beyond: false,
        }
    }

    /// All three have just started and heard one another's Hello: they await one another's voices.
    pub(crate) fn cold(bounds: Bounds) -> Self {
        let mut world = Self::dark(bounds);
        (0..N).for_each(|m| world.boot(m));
        for m in 0..N {
            for from in (0..N).filter(|n| *n != m) {
                let cast = Cast::Hello(Hello { broadcast: true, version: String::new(), priority: 100 });
                let sender = world.members[from].process.as_ref().expect("it runs").node.sender().clone();
                let datagram = Datagram { from: sender, cast };
                world.step(m, Input::Datagram { from: address(from), datagram });
            }
        }
        world
    }

    /// The first leads, the others follow it, one of them is its successor, and nothing is under way.
    pub(crate) fn settled(bounds: Bounds) -> Self {
        let mut world = Self::cold(Bounds { heard: true, timers: [9; N], claims: 9, ..bounds });
        world = world.after(Action::Timer { m: 0 }).expect("the join wait ends").calm();
        for cast in 0..world.casts.len() {
            for to in 1..N {
                world = world.after(Action::Cast { cast, to }).expect("it is heard").calm();
            }
        }
        let roles = [0, 1, 2].map(|m| world.role(m));
        assert_eq!(roles, [RoleName::Leading, RoleName::Following, RoleName::Following].map(Some));
        world.bounds = bounds;
        world.casts.retain(|_| bounds.heard);
        for m in 0..N {
            (world.member(m).claims, world.member(m).timers) = (0, 0);
        }
        world.won.clear();
        world
    }

    /// Everything under way arrives and is durable.
    fn calm(mut self) -> Self {
        let at_once = |a: &Action| matches!(a, Action::Frame { .. } | Action::Disk { .. });
        while let Some(action) = self.actions().into_iter().find(at_once) {
            self = self.after(action).expect("within the bounds");
        }
        self
    }
}
