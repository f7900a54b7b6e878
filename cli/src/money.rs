//! Dollars on the command line: read, and told.

use clap::Args;
use domain::Budget;
use domain::budget::{Period, dollars};

use crate::failure::Failure;
use crate::word;

/// A budget's options.
#[derive(Args, Clone, Default)]
pub(crate) struct BudgetArgs {
    /// What may be spent on models in a period, in dollars
    #[arg(long, value_name = "DOLLARS", value_parser = micros)]
    budget: Option<u64>,
    /// How many turns may call a model in a period
    #[arg(long, value_name = "N")]
    budget_turns: Option<u64>,
    /// After how much time the budget begins anew: day or month, in UTC [default: month]
    #[arg(long, value_name = "PERIOD", value_parser = word::<Period>)]
    budget_period: Option<Period>,
    /// Forget the limits there are
    #[arg(long)]
    no_budget: bool,
}

impl BudgetArgs {
    /// The budget after the change; the outer `None`: none is asked for, the inner: there is no budget then.
    pub(crate) fn change(&self, before: Option<Budget>) -> Result<Option<Option<Budget>>, Failure> {
        let is_given = self.budget.is_some() || self.budget_turns.is_some() || self.budget_period.is_some();
        if !is_given {
            return Ok(self.no_budget.then_some(None));
        }
        let mut budget = before.filter(|_| !self.no_budget).unwrap_or_default();
        budget.micros = self.budget.or(budget.micros);
        budget.turns = self.budget_turns.or(budget.turns);
        budget.period = self.budget_period.unwrap_or(budget.period);
        if budget.is_limited() {
            Ok(Some(Some(budget)))
        } else {
            Err(Failure::usage("--budget-period belongs to a limit: give --budget or --budget-turns, too."))
        }
    }
}

/// Reads dollars as people write them (`5`, `0.25`, `$5.00`), exactly.
pub(crate) fn micros(text: &str) -> Result<u64, String> {
    let bad = || "write dollars, such as 5.00 or 0.25, with at most six decimals".to_owned();
    let number = text.strip_prefix('$').unwrap_or(text);
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || number.ends_with('.') || decimals.len() > 6 || !is_number(whole) || !is_number(decimals) {
        return Err(bad());
    }
    let micros = format!("{decimals:0<6}").parse::<u64>().map_err(|_| bad())?;
    let whole = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(1_000_000));
    whole.and_then(|whole| whole.checked_add(micros)).ok_or_else(|| "that is more dollars than there are".to_owned())
}

/// A budget in words.
pub(crate) fn budget(budget: Budget) -> String {
    let turns = budget.turns.map(|turns| if turns == 1 { "1 turn".to_owned() } else { format!("{turns} turns") });
    let limits: Vec<String> = budget.micros.map(dollars).into_iter().chain(turns).collect();
    if limits.is_empty() {
        return "none".to_owned();
    }
    let period = match budget.period {
        Period::Day => "a day",
        Period::Month => "a month",
    };
    format!("{} {period}", limits.join(" and "))
}

/// A price of a million tokens, with all its decimals: `$1.25`, `$0.125`.
pub(crate) fn per_million(micros: u64) -> String {
    let decimals = format!("{:06}", micros % 1_000_000);
    let kept = decimals.trim_end_matches('0');
    format!("${}.{kept:0<2}", micros / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_exactly() {
        let read = ["5", "5.00", "$0.25", "0.000001", "0", "18446744073709.551615"].map(|text| micros(text).unwrap());
        assert_eq!(read, [5_000_000, 5_000_000, 250_000, 1, 0, u64::MAX]);
        let bad =
            ["", "$", ".5", "5.", "-1", "1e3", "1,50", "0.0000001", "5 ", "١", "18446744073709.551616", "+1", "1.-1"];
        for bad in bad {
            assert!(micros(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn budgets_and_prices_are_told() {
        assert_eq!(budget(Budget::default()), "none");
        let both = Budget { period: Period::Day, micros: Some(5_000_000), turns: Some(1) };
        assert_eq!(budget(both), "$5.00 and 1 turn a day");
        assert_eq!([0, 1_250_000, 125_000, 10_000_000].map(per_million), ["$0.00", "$1.25", "$0.125", "$10.00"]);
    }

    #[test]
    fn a_budget_is_changed_limit_by_limit() {
        let before = Some(Budget { micros: Some(5), turns: Some(9), ..Budget::default() });
        let none = BudgetArgs::default();
        assert_eq!(none.change(before).unwrap(), None);
        let removed = BudgetArgs { no_budget: true, ..none.clone() };
        assert_eq!(removed.change(before).unwrap(), Some(None));
        let daily = BudgetArgs { budget_period: Some(Period::Day), ..none.clone() };
        let budget = Budget { period: Period::Day, micros: Some(5), turns: Some(9) };
        assert_eq!(daily.change(before).unwrap(), Some(Some(budget)));
        assert!(daily.change(None).is_err());
        let anew = BudgetArgs { budget_turns: Some(3), ..removed };
        assert_eq!(anew.change(before).unwrap(), Some(Some(Budget { turns: Some(3), ..Budget::default() })));
    }
}
