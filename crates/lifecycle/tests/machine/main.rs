//! The rotation machine's behaviour, scenario by scenario, in a world of its own.

mod crashes;
mod refusals;
mod rotation;
mod world;
