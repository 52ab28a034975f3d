// Package archtest holds the structure of the program: who may import whom, and
// which package owns which table. It has tests only.
package archtest
