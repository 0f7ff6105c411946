//! The conformance suite: every case of `cases`, `history` and `restored` against every backend, each a test with a name of
//! its own. A backend is added by implementing `Backend` and adding its lines here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod backend;
mod backup;
mod cases;
mod history;
mod postgres_cut;
mod postgres_server;
mod postgres_tls;
mod proxy;
mod reopened;
mod restored;
mod sqlite_file;
mod sqlite_history;

macro_rules! tests {
    ($backend:ident; $($module:ident :: $case:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if !<crate::backend::$backend as crate::backend::Backend>::is_there() {
                    return;
                }
                let backend = <crate::backend::$backend as crate::backend::Backend>::new().await;
                crate::$module::$case(backend).await;
            }
        )+
    };
}

/// What every backend passes.
macro_rules! every_store {
    ($name:ident: $backend:ident) => {
        mod $name {
            tests! { $backend;
                cases::an_empty_store_is_at_the_start,
                cases::two_stores_have_two_identities,
                cases::what_is_committed_is_loaded,
                cases::an_empty_commit_changes_nothing,
                cases::change_sets_of_one_commit_follow_each_other,
                cases::a_refused_commit_leaves_nothing,
                cases::a_stale_position_conflicts,
                cases::another_entry_at_the_same_revision_conflicts,
                cases::of_many_writers_one_is_done_per_position,
                cases::a_dropped_commit_is_whole_or_absent,
                cases::changes_come_without_gap_or_repeat_under_writers,
                cases::changes_are_whole_entries_in_order,
                cases::a_history_not_seen_here_is_diverged,
                cases::a_past_revision_loads_as_it_was,
                cases::a_revision_that_is_not_in_the_log_is_not_found,
                cases::a_reader_during_a_write_sees_all_or_nothing,
                cases::the_log_is_filtered,
                cases::the_log_is_paged_newest_first,
                cases::times_never_decrease,
                cases::a_commit_wakes_who_waits,
                cases::a_wait_that_is_over_returns_at_once,
                cases::a_wait_goes_on_without_a_commit,
                cases::bytes_and_names_are_kept_exactly,
                cases::operations_are_kept_exactly,
                cases::a_raised_minimum_turns_older_readers_away,
                cases::a_change_set_that_the_writer_could_not_read_is_refused,
                history::a_record_shows_the_first_of_many,
                history::an_entry_shows_what_was_before_and_after,
                history::a_document_is_read_as_of_a_revision,
                history::versions_are_paged_newest_first,
                history::a_time_finds_its_revision,
                history::forgetting_leaves_every_later_state_as_it_was,
                history::forgetting_at_once_leaves_the_state_as_it_was,
                history::the_heads_entry_is_never_forgotten,
                history::a_document_is_told_as_created_only_where_it_was,
                history::writers_and_followers_go_on_while_it_is_forgotten,
                restored::a_restored_history_is_as_it_was,
                restored::a_restore_that_is_broken_off_leaves_nothing,
                restored::nothing_is_restored_into_a_store_that_was_written_to,
                restored::steps_that_do_not_follow_each_other_are_refused,
                restored::who_knew_the_empty_store_is_told_that_it_is_another,
            }
        }
    };
}

/// What backends pass whose content outlives the process. The store in memory has none: there is
/// nothing of it to open again.
macro_rules! lasting_store {
    ($name:ident: $backend:ident) => {
        mod $name {
            tests! { $backend;
                reopened::everything_is_there_again,
                reopened::a_dropped_commit_is_whole_or_absent_afterwards,
                reopened::a_raised_minimum_is_remembered,
                reopened::one_process_wakes_another,
                reopened::what_was_forgotten_stays_forgotten,
            }
        }
    };
}

every_store!(memory: Memory);
every_store!(sqlite: Sqlite);
every_store!(postgres: Postgres);
lasting_store!(sqlite_reopened: Sqlite);
lasting_store!(postgres_reopened: Postgres);
