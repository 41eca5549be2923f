//! What came out: a line while it runs, a table at the end.

use std::time::Instant;

/// Least or most of a figure.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// At least this much, and the aim.
    Least(f64, f64),
    /// At most this much, and the aim.
    Most(f64, f64),
    /// Only to be known.
    None,
}

/// A measured row.
struct Row {
    name: String,
    figure: f64,
    unit: &'static str,
    goal: Goal,
    detail: String,
}

/// All rows so far.
pub(crate) struct Report {
    rows: Vec<Row>,
    begun: Instant,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new(), begun: Instant::now() }
    }

    pub(crate) fn add(&mut self, name: &str, measured: (f64, &'static str), goal: Goal, detail: String) {
        let (figure, unit) = measured;
        let at = self.begun.elapsed().as_secs();
        eprintln!("[{at:4} s] {name}: {}{unit}  ({detail})", shown(figure));
        self.rows.push(Row { name: name.to_owned(), figure, unit, goal, detail });
    }

    /// A table in Markdown.
    pub(crate) fn table(&self) -> String {
        let head = "| measure | figure | at least (aim) | detail |\n|---|---|---|---|\n".to_owned();
        self.rows.iter().fold(head, |table, row| {
            let goal = match row.goal {
                Goal::Least(least, aim) => format!("≥ {} ({})", shown(least), shown(aim)),
                Goal::Most(most, aim) => format!("≤ {} ({})", shown(most), shown(aim)),
                Goal::None => String::new(),
            };
            let short = if row.falls_short() { " **short**" } else { "" };
            let figure = shown(row.figure);
            table + &format!("| {} | {figure}{}{short} | {goal} | {} |\n", row.name, row.unit, row.detail)
        })
    }

    pub(crate) fn falls_short(&self) -> bool {
        self.rows.iter().any(Row::falls_short)
    }
}

impl Row {
    fn falls_short(&self) -> bool {
        match self.goal {
            Goal::Least(least, _) => self.figure < least,
            Goal::Most(most, _) => self.figure > most,
            Goal::None => false,
        }
    }
}

/// Few digits, with thousands set apart.
fn shown(figure: f64) -> String {
    if figure >= 1000.0 {
        let whole = figure.round() as u64;
        let (thousands, rest) = (whole / 1000, whole % 1000);
        return format!("{thousands},{rest:03}");
    }
    if figure >= 20.0 { format!("{figure:.0}") } else { format!("{figure:.2}") }
}

/// The middle one.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The figure below which this part (0 to 1) of all lies.
pub(crate) fn quantile(figures: &mut [f64], part: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let at = (figures.len() as f64 * part) as usize;
    figures.get(at.min(figures.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
