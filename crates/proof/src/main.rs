//! The command of the rotation proof: replay one schedule, run all of a kind, or many at random.

#![allow(clippy::print_stdout, reason = "a command's output")]

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use fleetkey_proof::controls::{BackupFile, Demo, Staged, fairly, stage};
use fleetkey_proof::device::Device;
use fleetkey_proof::explore::{self, Share, Told};
use fleetkey_proof::schedule::Schedule;
use fleetkey_proof::world::{Outcome, World, prepared};

/// A line is printed after so many schedules.
const PROGRESS: u64 = 10_000;

/// The rotation proof.
#[derive(Debug, Parser)]
#[command(name = "fleetkey-proof")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs one schedule and prints every step.
    Replay {
        /// For example 'seed=7 12:cut=lose 40:429'.
        schedule: Schedule,
        /// The program that is run: the shipping one, or a control.
        #[arg(long, value_enum, default_value_t = Program::Agent)]
        device: Program,
        /// Let a control write without making anything durable, as the original does.
        #[arg(long)]
        unsynced: bool,
    },
    /// Runs one fault at every step, a crash at every step, and a second crash at every step of the recovery; of a fault
    /// and two crashes after it a sample.
    Exhaustive {
        /// Of the pairs only one in so many; 1 is all of them, days of it.
        #[arg(long, default_value_t = 1)]
        one_of: u64,
    },
    /// Runs schedules drawn at random, each following from its number.
    Random {
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        count: u64,
        /// The number of the first.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Stop after so many that break something.
        #[arg(long, default_value_t = 5)]
        enough: usize,
    },
}

/// A device's program.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Program {
    /// The shipping agent.
    Agent,
    /// The demo's algorithm.
    Demo,
    /// The Greengrass rotator's.
    BackupFile,
    /// A careful device under a server that retires on presence.
    RetireOnPresence,
}

fn main() -> Result<ExitCode> {
    match Args::parse().command {
        Command::Replay { schedule, device, unsynced } => replay(&schedule, device, unsynced),
        Command::Exhaustive { one_of } => exhaustive(one_of),
        Command::Random { count, seed, enough } => random(seed, count, enough),
    }
}

fn replay(schedule: &Schedule, device: Program, unsynced: bool) -> Result<ExitCode> {
    Ok(match device {
        Program::Agent => show(prepared(schedule)?, World::run),
        Program::Demo => show(control::<Demo>(schedule, unsynced)?, faulty),
        Program::BackupFile => show(control::<BackupFile>(schedule, unsynced)?, faulty),
        Program::RetireOnPresence => {
            let mut world = stage::<Staged>(schedule)?;
            world.env.cloud.retires_on_presence = true;
            show(world, faulty)
        }
    })
}

fn control<D: Device>(schedule: &Schedule, unsynced: bool) -> Result<World<D>> {
    let mut world = stage(schedule)?;
    fairly(&mut world);
    world.env.syncs = !unsynced;
    Ok(world)
}

fn faulty<D: Device>(world: &mut World<D>) -> Outcome {
    world.run_faulty();
    world.outcome()
}

fn show<D: Device>(mut world: World<D>, run: impl FnOnce(&mut World<D>) -> Outcome) -> ExitCode {
    world.env.director.keep_trace();
    let outcome = run(&mut world);
    for line in world.env.director.take_trace() {
        println!("{line}");
    }
    match outcome.violation {
        None => {
            let Outcome { steps, planned, struck, effective, ending, .. } = outcome;
            println!("{steps} steps; of {planned} faults {struck} struck and {effective} changed something");
            println!("nothing is broken: {ending}");
            ExitCode::SUCCESS
        }
        Some(violation) => {
            println!("{} is broken: {}", violation.invariant, violation.what);
            ExitCode::FAILURE
        }
    }
}

fn random(seed: u64, count: u64, enough: usize) -> Result<ExitCode> {
    let ran = explore::random(seed, count, enough, |told| match told {
        Told::Broke(found) => println!("{found}"),
        Told::Ran(ran, tally) => {
            if ran.is_multiple_of(PROGRESS) || ran == count {
                println!("{ran} schedules from {seed}\n{tally}");
            }
        }
    })?;
    println!("{} kinds of break", ran.found.len());
    Ok(if ran.found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn exhaustive(one_of: u64) -> Result<ExitCode> {
    let report = explore::exhaustive(Share { one_of })?;
    println!("{report}");
    report.found.iter().for_each(|found| println!("{found}"));
    Ok(if report.found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
