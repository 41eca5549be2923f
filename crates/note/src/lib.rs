//! Signed notes: keys, signing, opening and checking of signed text.
