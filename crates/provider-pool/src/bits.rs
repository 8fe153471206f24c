//! A set of places in the list of providers.

/// Without allocation up to this many.
const WORDS: usize = 5;

/// Which of the providers, by their places.
#[derive(Clone)]
pub(crate) enum Bits {
    Few([u64; WORDS]),
    Many(Vec<u64>),
}

impl Bits {
    /// None of `len`.
    pub(crate) fn none_of(len: usize) -> Self {
        if len <= WORDS * 64 {
            Self::Few([0; WORDS])
        } else {
            Self::Many(vec![0; len.div_ceil(64)])
        }
    }

    fn words(&self) -> &[u64] {
        match self {
            Self::Few(words) => words,
            Self::Many(words) => words,
        }
    }

    fn words_mut(&mut self) -> &mut [u64] {
        match self {
            Self::Few(words) => words,
            Self::Many(words) => words,
        }
    }

    pub(crate) fn insert(&mut self, at: usize) {
        self.words_mut()[at / 64] |= 1 << (at % 64);
    }

    pub(crate) fn remove(&mut self, at: usize) {
        self.words_mut()[at / 64] &= !(1 << (at % 64));
    }

    pub(crate) fn contains(&self, at: usize) -> bool {
        self.words()
            .get(at / 64)
            .is_some_and(|word| word & (1 << (at % 64)) != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words().iter().all(|word| *word == 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.words().iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Takes in all of `others`.
    pub(crate) fn join(&mut self, others: &Self) {
        for (mine, others) in self.words_mut().iter_mut().zip(others.words()) {
            *mine |= others;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words().iter().enumerate().flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros();
                rest &= rest.checked_sub(1)?;
                Some(at * 64 + bit as usize)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_comes_out_in_order() {
        for len in [1, 64, 320, 321, 1000] {
            let mut bits = Bits::none_of(len);
            assert!(bits.is_empty());
            let places: Vec<usize> = (0..len).filter(|at| at % 7 == 0 || at % 64 == 63).collect();
            for at in &places {
                bits.insert(*at);
            }
            assert_eq!(bits.iter().collect::<Vec<_>>(), places);
            assert_eq!(bits.len(), places.len());
            bits.remove(0);
            assert!(!bits.contains(0) && !bits.contains(5) && !bits.contains(100_000));
            let mut more = Bits::none_of(len);
            more.insert(0);
            bits.join(&more);
            assert_eq!(bits.len(), places.len());
        }
    }
}
