//! Colours as tokens, light and dark, and the pairs that must be readable on each other.
//!
//! The style sheet knows colours by these names only; [`sheet`] writes them out. The test computes every contrast by
//! WCAG 2.2, 1.4.3. Hues follow Okabe and Ito's set, which the common forms of colour blindness tell apart; shape and
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

/// Text on ground: each pair has a contrast of at least 4.5.
pub const TEXT: [(&str, &str); 28] = [
    ("ink", "ground"),
    ("ink", "panel"),
    ("ink", "raised"),
    ("faint", "ground"),
    ("faint", "panel"),
    ("faint", "raised"),
    ("link", "ground"),
    ("link", "panel"),
    ("link", "raised"),
    ("on-accent", "accent"),
    ("good", "ground"),
    ("good", "panel"),
    ("good", "raised"),
    ("busy", "ground"),
    ("busy", "panel"),
    ("busy", "raised"),
    ("warn", "ground"),
    ("warn", "panel"),
    ("warn", "raised"),
    ("bad", "ground"),
    ("bad", "panel"),
    ("bad", "raised"),
    ("quiet", "ground"),
    ("quiet", "panel"),
    ("quiet", "raised"),
    ("focus", "ground"),
    ("focus", "panel"),
    ("focus", "raised"),
];

/// Borders of controls and bars of charts: at least 3 (WCAG 2.2, 1.4.11).
pub const SHAPES: [(&str, &str); 4] =
    [("edge", "ground"), ("edge", "panel"), ("accent", "panel"), ("accent", "ground")];

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
    use super::*;

    fn pair(name: &str) -> Token {
        TOKENS.into_iter().find(|token| token.name == name).expect("a token has this name")
    }

    fn readable(pairs: &[(&str, &str)], least: f64) {
        for (front, back) in pairs {
            let (front, back) = (pair(front), pair(back));
            for (scheme, ratio) in
                [("light", contrast(front.light, back.light)), ("dark", contrast(front.dark, back.dark))]
            {
                assert!(ratio >= least, "{} on {}, {scheme}: {ratio:.2}", front.name, back.name);
            }
        }
    }

    #[test]
    fn every_text_is_readable_on_its_ground_by_day_and_by_night() {
        assert!((contrast(Colour(0), Colour(0xffffff)) - 21.0).abs() < 1e-9, "the formula is WCAG's");
        readable(&TEXT, 4.5);
    }

    #[test]
    fn borders_of_controls_and_bars_stand_out() {
        readable(&SHAPES, 3.0);
    }

    #[test]
    fn the_style_sheet_uses_only_colours_that_have_a_name_here() {
        let rules = include_str!("../assets/style.css");
        for used in rules.split("var(--").skip(1) {
            let name = used.split([')', ',']).next().unwrap();
            let known = TOKENS.iter().any(|token| token.name == name);
            let own = rules.contains(&format!("--{name}:"));
            assert!(known || own, "--{name} is used and not defined");
        }
        for forbidden in ["rgb(", "hsl(", "#0", "#1", "#2", "#f", "#c", "#e", "url("] {
            assert!(!rules.contains(forbidden), "{forbidden} in the style sheet: colours are tokens");
        }
        let coloured = rules.split("color:var(--").skip(1).map(|rest| rest.split([')', ',']).next().unwrap());
        for name in coloured {
            let checked = TEXT.iter().chain(&SHAPES).any(|(front, back)| *front == name || *back == name);
            assert!(checked || name == "line", "--{name} is a colour whose contrast nobody checks");
        }
    }
}
