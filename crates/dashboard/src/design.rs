//! Colours as tokens, light and dark.
//!
//! The style sheet knows colours by these names only; [`sheet`] writes them out. A test reads the sheet itself for which text
//! stands on which ground, and computes every contrast by WCAG 2.2, 1.4.3 and 1.4.11. Hues follow Okabe and Ito's set, which the common forms of colour blindness tell apart; shape and
//! word say the same everywhere.

/// A colour, 24-bit RGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(pub u32);

/// A colour's name, and what it is by day and by night.
#[derive(Debug, Clone, Copy)]
pub struct Token {
    /// As in `var(--NAME)`.
    pub name: &'static str,
    /// On light ground.
    pub light: Colour,
    /// On dark ground.
    pub dark: Colour,
}

const fn token(name: &'static str, light: u32, dark: u32) -> Token {
    Token { name, light: Colour(light), dark: Colour(dark) }
}

/// All colours there are.
pub const TOKENS: [Token; 16] = [
    token("ground", 0xf4f6f8, 0x10151b),
    token("panel", 0xffffff, 0x182029),
    token("raised", 0xeaeef2, 0x222c37),
    token("line", 0xc9d1d9, 0x35414e),
    token("edge", 0x6b7785, 0x8593a3),
    token("ink", 0x17202a, 0xe8edf2),
    token("faint", 0x515d6b, 0xa7b3c0),
    token("link", 0x005a9c, 0x7cc0ff),
    token("accent", 0x005a9c, 0x4aa8f0),
    token("on-accent", 0xffffff, 0x0b1016),
    token("good", 0x006b4f, 0x4cc9a2),
    token("busy", 0x005a9c, 0x7cc0ff),
    token("warn", 0x7d5200, 0xf0b84b),
    token("bad", 0xa8321a, 0xff957a),
    token("quiet", 0x515d6b, 0xa7b3c0),
    token("focus", 0x8a2be2, 0xd6a8ff),
];

/// The tokens as custom properties, the dark ones where the reader prefers them.
pub fn sheet() -> String {
    let list = |colour: fn(&Token) -> Colour| -> String {
        TOKENS.iter().map(|token| format!("--{}:#{:06x};", token.name, colour(token).0)).collect()
    };
    format!(
        ":root{{color-scheme:light dark;{}}}\n@media (prefers-color-scheme:dark){{:root{{{}}}}}\n",
        list(|token| token.light),
        list(|token| token.dark)
    )
}

/// The contrast of two colours, from 1 to 21 (WCAG 2.2, contrast ratio).
pub fn contrast(one: Colour, other: Colour) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// WCAG 2.2, relative luminance.
fn luminance(Colour(rgb): Colour) -> f64 {
    let channel = |shift: u32| {
        let value = f64::from((rgb >> shift) & 0xff) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(16) + 0.7152 * channel(8) + 0.0722 * channel(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const RULES: &str = include_str!("../assets/style.css");

    /// Separates what spacing separates already; says nothing that would have to be seen.
    const DECORATION: &str = "line";

    /// What stands on what, by the names of the colours.
    #[derive(Debug, Default)]
    struct Pairs<'a> {
        /// Text on its ground.
        text: BTreeSet<(&'a str, &'a str)>,
        /// Borders of controls, bars, outlines: what must be seen and is not read.
        shapes: BTreeSet<(&'a str, &'a str)>,
    }

    /// The rules of a sheet, those within `@media` too: selector and declarations.
    fn rules(sheet: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
        let (mut open, mut found, mut start) = (Vec::new(), Vec::new(), 0);
        for (at, char) in sheet.char_indices().filter(|(_, char)| matches!(char, '{' | '}')) {
            let text = sheet[start..at].trim();
            start = at + 1;
            match char {
                '{' => open.push(text.rsplit("*/").next().unwrap().trim()),
                _ => {
                    let selector = open.pop().expect("every block was opened");
                    let pairs = text.split(';').filter_map(|line| line.split_once(':'));
                    let declarations: Vec<_> =
                        pairs.map(|(name, value)| (name.trim(), value.trim())).collect();
                    found.push((selector, declarations));
                }
            }
        }
        found
    }

    /// The colour that a value names.
    fn colour(value: &str) -> Option<&str> {
        let mut names = value.split("var(--").skip(1).map(|rest| rest.split(')').next().unwrap());
        names.find(|name| TOKENS.iter().any(|token| token.name == *name))
    }

    /// A rule that gives text a colour may apply wherever no other rule gives the ground, so each such text is held against
    /// each ground; a rule that gives both stands for itself. The root gives both, and its ground is under everything.
    fn pairs(sheet: &str) -> Pairs<'_> {
        let (mut pairs, mut texts, mut grounds) = (Pairs::default(), BTreeSet::new(), BTreeSet::new());
        let mut shapes = BTreeSet::new();
        for (selector, declarations) in rules(sheet) {
            let named = |wanted: &str| {
                let found = declarations.iter().filter(|(name, _)| *name == wanted);
                found.filter_map(|(_, value)| colour(value)).next_back()
            };
            let is_text = ["text", ".label", ".count"].iter().any(|word| selector.contains(word));
            let text = named("color").or_else(|| named("fill").filter(|_| is_text));
            match (text, named("background")) {
                (Some(text), Some(ground)) => {
                    pairs.text.insert((text, ground));
                    if selector == "html" {
                        texts.insert(text);
                        grounds.insert(ground);
                    }
                }
                (Some(text), None) => drop(texts.insert(text)),
                (None, Some(ground)) => drop(grounds.insert(ground)),
                (None, None) => {}
            }
            let seen = declarations.iter().filter(|(name, _)| {
                let drawn = ["border", "outline", "stroke", "accent-color"];
                drawn.iter().any(|word| name.starts_with(word)) || *name == "fill" && !is_text
            });
            shapes.extend(seen.filter_map(|(_, value)| colour(value)).filter(|name| *name != DECORATION));
        }
        for ground in &grounds {
            pairs.text.extend(texts.iter().map(|text| (*text, *ground)));
            pairs.shapes.extend(shapes.iter().map(|shape| (*shape, *ground)));
        }
        pairs
    }

    /// The pairs that are closer to each other than `least`, with how close; and the closest of all.
    fn too_close(pairs: &BTreeSet<(&str, &str)>, least: f64) -> (Vec<String>, f64) {
        let token = |name: &str| TOKENS.into_iter().find(|token| token.name == name).expect("a known colour");
        let (mut close, mut closest) = (Vec::new(), 21.0_f64);
        for (front, back) in pairs {
            let (one, other) = (token(front), token(back));
            for (scheme, ratio) in
                [("light", contrast(one.light, other.light)), ("dark", contrast(one.dark, other.dark))]
            {
                closest = closest.min(ratio);
                if ratio < least {
                    close.push(format!("{front} on {back}, {scheme}: {ratio:.2}"));
                }
            }
        }
        (close, closest)
    }

    #[test]
    fn every_text_of_the_style_sheet_is_readable_on_every_ground_by_day_and_by_night() {
        assert!((contrast(Colour(0), Colour(0xffffff)) - 21.0).abs() < 1e-9, "the formula is WCAG's");
        let pairs = pairs(RULES);
        for known in [("ink", "ground"), ("on-accent", "accent"), ("bad", "raised"), ("faint", "panel")] {
            assert!(pairs.text.contains(&known), "{known:?} was not found: {pairs:?}");
        }
        let (close, closest) = too_close(&pairs.text, 4.5);
        println!("{} pairs of text and ground in two schemes, the closest {closest:.2}", pairs.text.len());
        assert!(close.is_empty(), "{close:?}");
    }

    #[test]
    fn borders_of_controls_and_bars_stand_out() {
        let pairs = pairs(RULES);
        for known in [("edge", "panel"), ("accent", "panel"), ("focus", "ground")] {
            assert!(pairs.shapes.contains(&known), "{known:?} was not found: {pairs:?}");
        }
        let (close, closest) = too_close(&pairs.shapes, 3.0);
        println!("{} pairs of shape and ground in two schemes, the closest {closest:.2}", pairs.shapes.len());
        assert!(close.is_empty(), "{close:?}");
    }

    #[test]
    fn a_colour_that_cannot_be_read_is_found_wherever_it_is_used() {
        let sheet =
            "html{color:var(--ink);background:var(--ground)} @media print { p { color:var(--line); } }";
        let (close, _) = too_close(&pairs(sheet).text, 4.5);
        assert_eq!(close.len(), 2, "by day and by night: {close:?}");
    }

    #[test]
    fn the_style_sheet_uses_only_colours_that_have_a_name_here() {
        for used in RULES.split("var(--").skip(1) {
            let name = used.split([')', ',']).next().unwrap();
            let known = TOKENS.iter().any(|token| token.name == name);
            let own = RULES.contains(&format!("--{name}:"));
            assert!(known || own, "--{name} is used and not defined");
        }
        // What would make a contrast another than that of two tokens.
        for forbidden in [
            "rgb(", "hsl(", "#0", "#1", "#2", "#f", "#c", "#e", "url(", "opacity", "filter", "blend",
            "gradient",
        ] {
            assert!(!RULES.contains(forbidden), "{forbidden} in the style sheet: colours are tokens");
        }
        let coloured = rules(RULES).into_iter().flat_map(|(_, declarations)| declarations);
        for (name, value) in coloured.filter(|(name, _)| matches!(*name, "color" | "background")) {
            assert!(colour(value).is_some(), "{name}: {value} is no token");
        }
    }
}
