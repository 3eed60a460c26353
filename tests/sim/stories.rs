//! Named stories: what the protocol says happens, when it says so. Each runs under 20 seeds.

/// A test that plays a plot under 20 seeds (or as many as it says): the comment is the plot.
macro_rules! story {
    ($(#[$plot:meta])* $name:ident |$seed:ident| $play:block) => {
        story! { $(#[$plot])* $name 20 |$seed| $play }
    };
    ($(#[$plot:meta])* $name:ident $seeds:literal |$seed:ident| $play:block) => {
        $(#[$plot])*
        #[test]
        fn $name() {
            crate::transcript::story(stringify!($name), $seeds, |$seed| $play);
        }
    };
}

mod answers;
mod beginnings;
mod copies;
mod damage;
mod data;
mod deaths;
mod disks;
mod doubles;
mod handovers;
mod histories;
mod joins;
mod members;
mod moves;
mod networks;
mod pairs;
mod paths;
mod programs;
mod reunions;
