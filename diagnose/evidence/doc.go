// Package evidence makes a Source of what other tools printed: a directory or
// an archive in the layout of a sos report, files by themselves, or output
// pasted into one file. A text is known by its content, by the command that was
// pasted before it, or by the option that names it.
//
// Nothing of it is the whole truth: every part that was not given is named, with
// what was taken in its place.
//
// Adding a kind of text is one row of kinds and a function that reads it.
package evidence
