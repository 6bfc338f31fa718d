// Package jsonform writes a model of Go structs as JSON and reads it back
// without loss. Which types stand behind an interface, what a number is called
// and what is not written stands in tables; everything else follows from the
// types, so that a new field is carried as soon as it is there.
//
//   - A struct is an object. A field is named as in its json tag, else by its Go
//     name in lower case with underscores; one that is zero is left out. A list
//     that is there and empty is written: nil and empty stay apart.
//   - Bytes are a string of lower-case hexadecimal digits.
//   - A string is one. What is no UTF-8, and what begins with "hex:" itself, is
//     "hex:" and its bytes as hexadecimal digits; keys of objects too.
//   - Integers are numbers, all 64 bits of them. Those that a table names are
//     strings, and stand there whatever they are; one that it does not name is a
//     number, where the table is open.
//   - What stands behind an interface has its type's name in its first member,
//     "type".
//   - Addresses and prefixes are as netip prints them, times in RFC 3339.
//
// Reading takes nothing for granted: depth, memory and every number are
// bounded, and an error says where it is.
package jsonform
