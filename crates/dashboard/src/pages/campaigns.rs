//! Campaigns: all of them, and one with its waves; the look before one is paused, resumed or ended.

use maud::{Markup, html};

use super::parts::badge;
use super::words::{counted, moment, span};
use super::{View, device_path, frame, proof};
use crate::access::Scope;
use crate::fleet::{Campaign, CampaignCounts, CampaignMode, Fleet, Pace, Tone, WayBack};
use crate::http::{Answer, text};

/// Campaigns in their table: the newest.
const SHOWN: usize = 100;

/// What can be ordered of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Pause,
    Resume,
    Abort,
    Rollback,
}

impl Verb {
    const ALL: [Self; 4] = [Self::Pause, Self::Resume, Self::Abort, Self::Rollback];

    /// Who may order it: rolling back makes certificates ACTIVE again.
    pub(crate) const fn scope(self) -> Scope {
        match self {
            Self::Pause | Self::Resume | Self::Abort => Scope::Operator,
            Self::Rollback => Scope::Admin,
        }
    }

    /// As it stands in a URL.
    const fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Rollback => "rollback",
        }
    }

    /// The one with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == name)
    }

    /// Whether it means something for a campaign that stands so.
    pub(crate) const fn fits(self, mode: &CampaignMode) -> bool {
        match self {
            Self::Pause => matches!(mode, CampaignMode::Running),
            Self::Resume => matches!(mode, CampaignMode::Paused(_)),
            Self::Abort => !mode.is_over(),
            Self::Rollback => !matches!(mode, CampaignMode::RolledBack(_)),
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Pause => "Pause",
            Self::Resume => "Resume",
            Self::Abort => "Abort",
            Self::Rollback => "Roll back",
        }
    }

    const fn consequence(self) -> &'static str {
        match self {
            Self::Pause => "Nobody is told until it is resumed. Devices that were told go on by themselves.",
            Self::Resume => "Devices are told again, from where it stood.",
            Self::Abort => {
                "Nobody is told any more, for good. Devices that were told go on by themselves; the others keep their certificates."
            }
            Self::Rollback => {
                "Nobody is told to rotate any more, for good, and what can be undone is. Things whose certificate before is kept are frozen until they are released."
            }
        }
    }
}

/// Where a campaign's page is.
pub(crate) fn campaign_path(name: &str) -> String {
    format!("/campaigns/{}", text::encode(name))
}

pub(crate) fn campaigns(view: &View<'_>, fleet: &dyn Fleet) -> Answer {
    let Some(all) = fleet.campaigns() else {
        let content = html! { h1 { "Campaigns" } (frame::elsewhere("fleetkey campaign, carried out by fleetkey serve")) };
        return frame::page(view, 200, "Campaigns", None, &content);
    };
    let content = html! {
        h1 { "Campaigns" }
        @if frame::may_order(view) { p { a id="new" href="/campaigns?new=1" { "Begin a campaign" } } }
        section id="campaigns" data-live aria-label="Campaigns" {
            @if all.is_empty() {
                p class="empty" { "There was none yet. A campaign has many devices rotate: a few first, then ever more, until too many of them fail." }
            } @else {
                (table(view, all.get(..SHOWN).unwrap_or(&all)))
                @if all.len() > SHOWN { p class="faint" { (all.len() - SHOWN) " older ones are not shown; " code { "fleetkey campaign list" } " names them." } }
            }
        }
    };
    frame::page(view, 200, "Campaigns", None, &content)
}

fn table(view: &View<'_>, all: &[Campaign]) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label="Table of campaigns" {
            table {
                thead {
                    tr {
                        th scope="col" { "Name" } th scope="col" { "State" } th scope="col" { "Wave" } th scope="col" { "Rotated" }
                        th scope="col" { "Failed" } th scope="col" { "Begun" } th scope="col" { "For" }
                    }
                }
                tbody {
                    @for campaign in all {
                        @let counts = campaign.counts();
                        tr {
                            th scope="row" { a href=(campaign_path(&campaign.name)) { (campaign.name) } }
                            td { (mode(&campaign.mode)) }
                            td class="nowrap" { (campaign.wave) " of " (campaign.waves.len()) }
                            td class="nowrap" { (counts.arrived()) " of " (counts.total()) }
                            td { (failures(counts.failed)) }
                            td { (moment(campaign.created, view.now)) }
                            td class="text" { (campaign.why) }
                        }
                    }
                }
            }
        }
    }
}

pub(crate) fn campaign(view: &View<'_>, campaign: &Campaign) -> Answer {
    let title = format!("Campaign {}", campaign.name);
    let content = html! {
        nav class="crumbs" aria-label="Path" { a href="/campaigns" { "Campaigns" } }
        h1 { (title) }
        section id="standing" data-live aria-label="State" { (standing(view, campaign)) }
        section id="waves" data-live aria-labelledby="waves-head" {
            h2 id="waves-head" { "Waves" }
            (waves(campaign))
        }
        section id="failed" data-live aria-labelledby="failed-head" {
            h2 id="failed-head" { "Failed" }
            (failed(campaign))
        }
        section id="pace" aria-labelledby="pace-head" {
            h2 id="pace-head" { "How it proceeds" }
            (pace(&campaign.pace))
        }
    };
    frame::page(view, 200, &title, None, &content)
}

fn standing(view: &View<'_>, campaign: &Campaign) -> Markup {
    let counts = campaign.counts();
    html! {
        p { (mode(&campaign.mode)) @if let Some(why) = campaign.mode.why() { " " (why) } }
        p {
            progress id="rotated" max=(counts.total()) value=(counts.arrived()) aria-label="Devices that have rotated" {}
            " " (counts.arrived()) " of " (counted(counts.total(), "device")) " have rotated, " (counts.told) " are at it, "
            (counts.waiting) " were not told yet, " (counts.failed) " have failed."
            @if counts.soaking > 0 {
                " " (counts.soaking) " of those who have rotated soak: the certificate before is not asked to be retired yet."
            }
            @if counts.returning + counts.returned > 0 {
                " " (counts.returning) " are on their way back, for " (counts.returned) " all was done that could be."
            }
            @if counts.left > 0 { " " (counts.left) " were told and have gone; they are told again when they come back." }
        }
        dl class="facts" {
            div { dt { "For" } dd { (campaign.why) } }
            div { dt { "Begun" } dd { (moment(campaign.created, view.now)) } }
            div { dt { "Wave" } dd { (campaign.wave) " of " (campaign.waves.len()) } }
        }
        @if frame::may_order(view) {
            @for verb in offered(view, campaign) {
                form method="post" action={ (campaign_path(&campaign.name)) "/" (verb.name()) } {
                    button id=(verb.name()) type="submit" { (verb.title()) " …" }
                }
                " "
            }
        }
    }
}

/// What whoever looks can order. A rollback where somebody was told.
fn offered(view: &View<'_>, campaign: &Campaign) -> impl Iterator<Item = Verb> {
    let fits = move |verb: &Verb| verb.fits(&campaign.mode) && view.actor.scope >= verb.scope();
    Verb::ALL.into_iter().filter(fits).filter(move |verb| *verb != Verb::Rollback || campaign.wave > 0)
}

fn waves(campaign: &Campaign) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label="Table of waves" {
            table {
                thead {
                    tr {
                        th scope="col" { "Wave" } th scope="col" { "State" } th scope="col" { "Devices" } th scope="col" { "Rotated" }
                        th scope="col" { "At it" } th scope="col" { "Not told" } th scope="col" { "Gone" } th scope="col" { "Failed" }
                    }
                }
                tbody {
                    @for (index, counts) in campaign.waves.iter().enumerate() {
                        tr {
                            th scope="row" class="nowrap" { (index + 1) @if index == 0 { " (canary)" } }
                            td { (wave(counts)) }
                            td { (counts.total()) }
                            td { (counts.arrived()) }
                            td { (counts.told) }
                            td { (counts.waiting) }
                            td { (counts.left) }
                            td { (failures(counts.failed)) }
                        }
                    }
                }
            }
        }
    }
}

fn wave(counts: &CampaignCounts) -> Markup {
    let total = counts.total();
    match counts {
        CampaignCounts { waiting, .. } if *waiting == total => badge(Tone::Quiet, "to come"),
        CampaignCounts { waiting: 0, told: 0, failed: 0, left: 0, .. } => badge(Tone::Good, "done"),
        CampaignCounts { waiting: 0, told: 0, failed: 0, .. } => {
            badge(Tone::Warn, "done but for who has gone")
        }
        CampaignCounts { waiting: 0, told: 0, .. } => badge(Tone::Warn, "done but for the failed"),
        _ => badge(Tone::Busy, "under way"),
    }
}

fn failed(campaign: &Campaign) -> Markup {
    let more = campaign.counts().failed.saturating_sub(campaign.failed.len());
    html! {
        @if campaign.failed.is_empty() {
            p class="empty" { "None." }
        } @else {
            ul class="names" { @for thing in &campaign.failed { li { a href=(device_path(thing)) { (thing) } } } }
            @if more > 0 { p class="faint" { (counted(more, "more device")) " are not shown." } }
        }
    }
}

fn pace(pace: &Pace) -> Markup {
    html! {
        dl class="facts" {
            div { dt { "First wave" } dd { (pace.canary) " % of the devices, each further wave " (pace.growth) " times as large" } }
            div { dt { "Rate" } dd { (pace.rate) " devices a minute, " (pace.at_once) " at once" } }
            div { dt { "Hours" } dd { @if pace.window.is_empty() { "all" } @else { (pace.window) " UTC" } } }
            div { dt { "Patience" } dd { (span(pace.patience)) " for a device to be on its new certificate, told " (pace.tries) " times" } }
            div { dt { "Ends" } dd { "when " (pace.threshold) " % of a wave have failed" } }
        }
    }
}

/// A campaign, what is ordered of it, and what a rollback would come to.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) campaign: &'a Campaign,
    pub(crate) verb: Verb,
    pub(crate) way_back: Option<WayBack>,
}

/// What would be done, and why it is asked for.
pub(crate) fn confirm_campaign(
    view: &View<'_>,
    code: u16,
    Asked { campaign, verb, way_back }: Asked<'_>,
    entered: &str,
    trouble: Option<&str>,
) -> Answer {
    let title = format!("{} the campaign {}?", verb.title(), campaign.name);
    let path = campaign_path(&campaign.name);
    let content = html! {
        nav class="crumbs" aria-label="Path" { a href="/campaigns" { "Campaigns" } " / " a href=(path) { (campaign.name) } }
        h1 { (title) }
        (proof::trouble(trouble))
        section aria-label="What would be done" {
            p { (verb.consequence()) }
            @if let Some(found) = way_back { (counted_back(found)) }
        }
        section aria-label="Order" {
            form method="post" action={ (path) "/" (verb.name()) } class="order" {
                input type="hidden" name="confirm" value="yes";
                (proof::why(entered))
                (proof::token(view, verb.scope()))
                button id="confirm" type="submit" { (verb.title()) }
                " " a href=(path) { "Cancel" }
            }
        }
    };
    frame::page(view, code, &title, None, &content)
}

fn counted_back(found: WayBack) -> Markup {
    html! {
        dl class="facts" id="way-back" {
            div { dt { "Told to return, if on a new certificate" } dd { (counted(found.sent, "device")) } }
            div { dt { "Certificate before is kept ACTIVE" } dd { (counted(found.kept, "device")) } }
            div { dt { "Certificate before is made ACTIVE again" } dd { (counted(found.reactivated, "device")) } }
            div { dt { "Past that: REVOKED or gone" } dd { (counted(found.past, "device")) } }
            div { dt { "Not told, and not any more" } dd { (counted(found.untold, "device")) } }
        }
        p class="faint" { "So it stands at this moment; devices that ask for retirement meanwhile do not return." }
    }
}

fn mode(mode: &CampaignMode) -> Markup {
    let tone = match mode {
        CampaignMode::Running => Tone::Busy,
        CampaignMode::Paused(_) | CampaignMode::RolledBack(_) => Tone::Warn,
        CampaignMode::Aborted(_) => Tone::Bad,
        CampaignMode::Done => Tone::Good,
    };
    badge(tone, mode.word())
}

fn failures(count: usize) -> Markup {
    match count {
        0 => html! { "0" },
        _ => badge(Tone::Bad, &count.to_string()),
    }
}
