//! Update expressions: `SET`, `ADD` and `REMOVE` of whole attributes.

use std::collections::BTreeSet;

use super::expression::{Names, Operand, Reader};
use super::item::{Attribute, Item};
use super::lexer::Lexer;
use super::refusal::Refusal;

/// The right side of a `SET`.
enum Term<'a> {
    Plain(Operand<'a>),
    IfNotExists(String, Operand<'a>),
}

enum Change<'a> {
    Set(String, Term<'a>, Option<(i128, Term<'a>)>),
    Add(String, &'a Attribute),
    Remove(String),
}

pub(crate) struct Update<'a> {
    text: String,
    changes: Vec<Change<'a>>,
}

/// Reads an update expression.
pub(crate) fn update<'a>(text: &str, names: &Names<'a>) -> Result<Update<'a>, Refusal> {
    let mut reader = Reader { lexer: Lexer::new(text)?, names };
    let mut changes = Vec::new();
    let mut sections = BTreeSet::new();
    while !reader.lexer.is_at_end() {
        let section = ["SET", "ADD", "REMOVE"].into_iter().find(|section| reader.lexer.eat_word(section));
        let section = section.ok_or_else(|| reader.lexer.refusal("a section is not SET, ADD or REMOVE"))?;
        if !sections.insert(section) {
            return Err(reader.lexer.refusal("a section stands twice"));
        }
        loop {
            changes.push(match section {
                "SET" => reader.set()?,
                "ADD" => reader.add()?,
                _ => Change::Remove(reader.path()?),
            });
            if !reader.lexer.eat(",") {
                break;
            }
        }
    }
    let mut seen = BTreeSet::new();
    for change in &changes {
        let (Change::Set(path, ..) | Change::Add(path, _) | Change::Remove(path)) = change;
        if !seen.insert(path) {
            return Err(reader.lexer.refusal(&format!("the attribute {path} is changed twice")));
        }
        if path == "pk" || path == "sk" {
            return Err(reader.lexer.refusal(&format!("the attribute {path} is part of the key")));
        }
    }
    if changes.is_empty() {
        return Err(reader.lexer.refusal("it is empty"));
    }
    Ok(Update { text: text.to_owned(), changes })
}

impl<'a> Reader<'_, 'a> {
    fn set(&mut self) -> Result<Change<'a>, Refusal> {
        let path = self.path()?;
        self.lexer.expect("=")?;
        let first = self.term()?;
        let sign = if self.lexer.eat("+") {
            Some(1)
        } else if self.lexer.eat("-") {
            Some(-1)
        } else {
            None
        };
        let second = sign.map(|sign| self.term().map(|term| (sign, term))).transpose()?;
        Ok(Change::Set(path, first, second))
    }

    fn term(&mut self) -> Result<Term<'a>, Refusal> {
        match self.lexer.function().as_deref() {
            None => Ok(Term::Plain(self.operand()?)),
            Some("if_not_exists") => {
                let path = self.path()?;
                self.lexer.expect(",")?;
                let or = self.operand()?;
                self.lexer.expect(")")?;
                Ok(Term::IfNotExists(path, or))
            }
            Some(function) => Err(self.lexer.refusal(&format!("the function {function} is not known"))),
        }
    }

    fn add(&mut self) -> Result<Change<'a>, Refusal> {
        let path = self.path()?;
        match self.operand()? {
            Operand::Value(value) => Ok(Change::Add(path, value)),
            Operand::Path(_) => Err(self.lexer.refusal("ADD wants a value")),
        }
    }
}

impl Update<'_> {
    /// The item after the update. All right sides see the item before it.
    pub(crate) fn apply(&self, before: &Item) -> Result<Item, Refusal> {
        let mut after = before.clone();
        for change in &self.changes {
            match change {
                Change::Set(path, first, None) => {
                    after.insert(path.clone(), self.value(first, before)?.clone());
                }
                Change::Set(path, first, Some((sign, second))) => {
                    let (first, second) = (self.value(first, before)?, self.value(second, before)?);
                    after.insert(path.clone(), number(self.number(first)? + sign * self.number(second)?));
                }
                Change::Add(path, value) => {
                    let old = before.get(path).map_or(Ok(0), |old| self.number(old))?;
                    after.insert(path.clone(), number(old + self.number(value)?));
                }
                Change::Remove(path) => {
                    after.remove(path);
                }
            }
        }
        Ok(after)
    }

    fn value<'i>(&'i self, term: &'i Term<'_>, item: &'i Item) -> Result<&'i Attribute, Refusal> {
        let operand = match term {
            Term::Plain(operand) => operand,
            Term::IfNotExists(path, or) => match item.get(path) {
                Some(value) => return Ok(value),
                None => or,
            },
        };
        match operand {
            Operand::Value(value) => Ok(value),
            Operand::Path(path) => item.get(path).ok_or_else(|| {
                self.refusal(&format!("it refers to the attribute {path}, which does not exist in the item"))
            }),
        }
    }

    fn number(&self, attribute: &Attribute) -> Result<i128, Refusal> {
        attribute.number().ok_or_else(|| self.refusal("it counts with what is not a whole number"))
    }

    fn refusal(&self, why: &str) -> Refusal {
        Refusal::validation(format!("Invalid expression `{}`: {why}", self.text))
    }
}

fn number(value: i128) -> Attribute {
    Attribute::N(value.to_string())
}
