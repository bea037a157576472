//! Tables of what was measured, with the goals beside it.

/// How a number is written.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Times,
    Count,
    Each,
    Seconds,
    Bytes,
}

impl Unit {
    pub(crate) fn show(self, number: f64) -> String {
        match self {
            Self::Times => format!("{number:.2}"),
            Self::Count => format!("{number:.0}"),
            Self::Each => format!("{number:.3}"),
            Self::Seconds if number < 0.01 => format!("{:.0} us", number * 1e6),
            Self::Seconds if number < 1.0 => format!("{:.0} ms", number * 1e3),
            Self::Seconds => format!("{number:.2} s"),
            Self::Bytes if number < 1e6 => format!("{:.0} kB", number / 1e3),
            Self::Bytes => format!("{:.2} MB", number / 1e6),
        }
    }
}

/// Where a number should lie.
#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn holds(self, number: f64) -> bool {
        match self {
            Self::AtMost(bound) => number <= bound,
            Self::AtLeast(bound) => number >= bound,
        }
    }

    fn show(self, unit: Unit) -> String {
        match self {
            Self::AtMost(0.0) => "0".to_owned(),
            Self::AtMost(bound) => format!("≤ {}", unit.show(bound)),
            Self::AtLeast(bound) => format!("≥ {}", unit.show(bound)),
        }
    }
}

/// One number: what it is, and what it should be.
pub(crate) struct Row {
    what: String,
    unit: Unit,
    number: f64,
    goal: Option<Bound>,
    stretch: Option<Bound>,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, unit: Unit, number: f64) -> Self {
        Self { what: what.into(), unit, number, goal: None, stretch: None }
    }

    pub(crate) fn at_most(mut self, goal: f64) -> Self {
        self.goal = Some(Bound::AtMost(goal));
        self
    }

    pub(crate) fn at_least(mut self, goal: f64) -> Self {
        self.goal = Some(Bound::AtLeast(goal));
        self
    }

    /// A harder goal of the same direction as the goal.
    pub(crate) fn stretch(mut self, stretch: f64) -> Self {
        self.stretch = self.goal.map(|goal| match goal {
            Bound::AtMost(_) => Bound::AtMost(stretch),
            Bound::AtLeast(_) => Bound::AtLeast(stretch),
        });
        self
    }

    /// Whether the goal is missed; what was not measured misses every goal.
    pub(crate) fn misses_goal(&self) -> bool {
        self.goal.is_some_and(|goal| !goal.holds(self.number))
    }

    fn verdict(&self) -> &'static str {
        match self.stretch {
            _ if self.goal.is_none() => "",
            _ if self.misses_goal() => "MISSED",
            Some(stretch) if stretch.holds(self.number) => "stretch",
            _ => "goal",
        }
    }

    fn cells(&self) -> [String; 5] {
        let bound = |bound: Option<Bound>| bound.map(|bound| bound.show(self.unit)).unwrap_or_default();
        let number = self.unit.show(self.number);
        [self.what.clone(), number, bound(self.goal), bound(self.stretch), self.verdict().to_owned()]
    }
}

/// Prints numbers beside their goals.
pub(crate) fn print_goals(title: &str, rows: &[Row]) {
    let any_stretch = rows.iter().any(|row| row.stretch.is_some());
    let rows = rows.iter().map(Row::cells);
    if any_stretch {
        print([title, "measured", "goal", "stretch", "met"], &rows.collect::<Vec<_>>());
    } else {
        let rows = rows.map(|[what, measured, goal, _, met]| [what, measured, goal, met]);
        print([title, "measured", "goal", "met"], &rows.collect::<Vec<_>>());
    }
}

/// Prints a table in Markdown, its first column flush left and the others flush right.
pub(crate) fn print<const N: usize>(head: [&str; N], rows: &[[String; N]]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count(), 3]).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    println!();
    print_line(&head.map(str::to_owned), &widths);
    let rule = |column: usize| {
        if column == 0 { "-".repeat(widths[0]) } else { "-".repeat(widths[column] - 1) + ":" }
    };
    print_line(&std::array::from_fn::<_, N, _>(rule), &widths);
    for row in rows {
        print_line(row, &widths);
    }
}

fn print_line(cells: &[String], widths: &[usize]) {
    for (column, (cell, &width)) in cells.iter().zip(widths).enumerate() {
        if column == 0 { print!("| {cell:<width$} |") } else { print!(" {cell:>width$} |") }
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_at_its_bound() {
        assert_eq!(Row::new("", Unit::Times, 1.3).at_most(1.3).stretch(1.0).verdict(), "goal");
        assert_eq!(Row::new("", Unit::Times, 1.0).at_most(1.3).stretch(1.0).verdict(), "stretch");
        assert_eq!(Row::new("", Unit::Times, 1.31).at_most(1.3).stretch(1.0).verdict(), "MISSED");
        assert_eq!(Row::new("", Unit::Times, 2.4).at_least(2.5).verdict(), "MISSED");
    }

    #[test]
    fn what_was_not_measured_misses_every_goal() {
        assert!(Row::new("", Unit::Times, f64::NAN).at_most(1.3).misses_goal());
        assert!(Row::new("", Unit::Times, f64::NAN).at_least(1.3).misses_goal());
    }
}
