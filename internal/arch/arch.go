// Package arch holds no code. Its test keeps the arrows between the packages of this module
// pointing downward; docs/ARCHITECTURE.md draws them.
package arch
